"""What a search tries: ranges and choices for dotted keys of a config, read from a YAML file.

metric: val/accuracy             by default what the config's checkpoint monitors
direction: maximize              or minimize; by default the checkpoint's mode
fixed:                           values that every trial has, in place of the config's
  trainer.max_epochs: 10
space:
  model.lr: {float: [1.0e-4, 1.0e-2], log: true}
  model.network.depth: {int: [1, 6]}
  model.hidden: {choice: [[512], [512, 512]]}

A float or an int may have a `step` in place of `log`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader
from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

import limits

PARTS = ("metric", "direction", "fixed", "space")
DIRECTIONS = {"max": "maximize", "min": "minimize"}  # of a checkpoint's mode
KINDS = ("float", "int", "choice")
SCALARS = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Search:
    """What a search file says."""

    space: dict[str, BaseDistribution]
    fixed: dict[str, Any]
    metric: str | None = None
    direction: str | None = None

    def fixed_words(self) -> list[str]:
        """Words for the command line that give every trial its fixed values."""
        return as_words(self.fixed)

    def plan(self) -> dict[str, Any]:
        """All of it as plain values."""
        space = {key: str(distribution) for key, distribution in self.space.items()}
        return {"metric": self.metric, "direction": self.direction, "fixed": self.fixed, "space": space}

    def corners(self) -> list[list[str]]:
        """Words for a few trials that together name every choice and both ends of every range."""
        columns = {key: _ends(distribution) for key, distribution in self.space.items()}
        rows = range(max(map(len, columns.values())))
        return [as_words({key: ends[row % len(ends)] for key, ends in columns.items()}) for row in rows]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """A trial's values: those that it has already, and else what the study's sampler suggests."""
        return {key: _suggest(trial, key, distribution) for key, distribution in self.space.items()}

    def given_by(self, config: dict[str, Any]) -> dict[str, Any]:
        """The values of a config, where the ranges and choices hold them."""
        values = {key: _value(config, key) for key in self.space}
        return {key: value for key, value in values.items() if _holds(self.space[key], value)}


def read_search(path: str) -> Search:
    """The search that a file describes.

    Raises OSError or ValueError, with the file's name and the key, where it is not as above.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no search file {path}; see configs/search/ for some")
    try:
        content = get_loader("yaml")(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the search file {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content.keys() <= set(PARTS):
        unknown = f"; it has {', '.join(sorted(set(content) - set(PARTS)))}" if isinstance(content, dict) else ""
        raise ValueError(f"the search file {path} must be of {', '.join(PARTS)}{unknown}")
    fixed, space = content.get("fixed") or {}, content.get("space")
    if not isinstance(space, dict) or not space or not isinstance(fixed, dict):
        raise ValueError(f"the search file {path} needs space: with a range for at least one dotted key, as model.lr")
    if content.get("direction") not in (None, *DIRECTIONS.values()):
        raise ValueError(f"{path}: direction={content['direction']!r} must be maximize or minimize")
    if both := space.keys() & fixed.keys():
        raise ValueError(f"{path}: {', '.join(sorted(both))} cannot be both fixed and searched")
    try:
        distributions = {str(key): _distribution(key, given) for key, given in space.items()}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Search(distributions, fixed, content.get("metric"), content.get("direction"))


def as_words(values: dict[str, Any]) -> list[str]:
    """Words for the command line that set dotted keys."""
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


def _distribution(key: Any, given: Any) -> BaseDistribution:
    kinds = [kind for kind in KINDS if isinstance(given, dict) and kind in given]
    if len(kinds) != 1:
        raise ValueError(
            f"{key}: {given!r:.80} must be one of {{float: [low, high]}}, {{int: [low, high]}} and {{choice: [...]}}"
        )
    (kind,) = kinds
    ends, options = given[kind], {name: value for name, value in given.items() if name != kind}
    if allowed := options.keys() - ({"log", "step"} if kind != "choice" else set()):
        raise ValueError(f"{key}: a {kind} takes no {', '.join(map(str, sorted(allowed)))}")
    if not isinstance(ends, list) or (kind != "choice" and len(ends) != 2):
        raise ValueError(f"{key}: {kind}={ends!r:.80} must be a list{'' if kind == 'choice' else ', [low, high]'}")
    if not isinstance(options.get("log", False), bool):
        raise ValueError(f"{key}: log={options['log']!r} must be true or false")
    try:
        if kind == "choice":
            return CategoricalDistribution([_plain(choice) for choice in ends])
        low, high = ends
        if kind == "int":
            limits.whole(-limits.LARGEST, low=low, high=high)
            limits.whole(step=options.get("step", 1))
            return IntDistribution(low, high, **options)
        limits.number("(-inf, inf)", low=low, high=high)
        limits.number("(0, inf)", step=options.get("step", 1.0))
        return FloatDistribution(low, high, **options)
    except ValueError as error:
        raise ValueError(f"{key}: {' '.join(str(error).split())}") from error


def _plain(choice: Any) -> Any:
    """A choice as Optuna keeps it: a list or a mapping is the text that the command line reads."""
    return choice if isinstance(choice, SCALARS) else json.dumps(choice)


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


def _suggest(trial: Trial, key: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _value(config: Any, key: str) -> Any:
    """The value of a dotted key, which may leave out `init_args`; of a class its path; None where there is none."""
    for name in key.replace(".init_args", "").split("."):
        inner = config.get("init_args") if isinstance(config, dict) else None
        config = next((part[name] for part in (config, inner) if isinstance(part, dict) and name in part), None)
    is_class = isinstance(config, dict) and "class_path" in config
    return config["class_path"] if is_class else _plain(config)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and distribution.low <= value <= distribution.high
