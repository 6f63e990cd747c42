"""Several trainings of one config, planned before the first one begins: where they go, and what all of them share."""

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

import limits
from checkpoints import runs
from cli.command_words import says
from cli.parser import CommandError
from cli.run_folder import runs_of_config
from cli.yaml_dump import dump_yaml

Main = Callable[..., Any]  # `train.main`
OWN = {"run": "each run gets a name of its own", "ckpt_path": "the same command goes on by itself"}


def fit_config(main: Main, words: list[str]) -> dict[str, Any]:
    """The whole config of `train.py fit` with these words; nothing is built.

    Raises what `train.main` raises for a mistake.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main(["fit", *words, "--print_config"])
    return get_loader("yaml")(printed.getvalue())


def check_words(words: list[str], config: dict[str, Any]) -> None:
    """Raises ValueError for words of `fit` that make no sense for several runs, or give them no seed."""
    limits.whole(0, seed_everything=config["seed_everything"])
    for name, reason in OWN.items():
        if says(words, name):
            raise CommandError(f"--{name} must be left out: {reason}")
    if config["trainer"]["fast_dev_run"]:
        raise CommandError("--trainer.fast_dev_run leaves nothing to compare; give --trainer.max_steps")


def place_of(words: list[str], config: dict[str, Any], name: str) -> Path:
    """The folder of several runs, runs/NAME/<config>; runs/NAME is their `--trainer.default_root_dir`.

    Raises ValueError for a name that no folder can have.
    """
    if not re.fullmatch(r"[\w+=,-][\w+=,.-]*", name):
        raise ValueError(f"--name {name!r} must be a folder's name: letters, digits and _ - + = , . alone")
    given = [word for arg in words for word in arg.split("=", 1)]
    files = [path for option, path in pairwise(given) if option in ("--config", "-c")]
    root = Path(config["trainer"]["default_root_dir"] or runs.RUNS) / name
    trainer = {**config["trainer"], "default_root_dir": root}
    return runs_of_config({**config, "config": files, "trainer": trainer})


def keep(path: Path, plan: dict[str, Any]) -> None:
    """Write a plan where there is none.

    Raises ValueError, with the first value that differs, where the file holds another one.
    """
    text = dump_yaml(plan)
    if path.exists():
        before, now = dict(_leaves(_read(path))), dict(_leaves(yaml.safe_load(text)))
        apart = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if apart:
            name = apart[0]
            raise ValueError(
                f"{path} was begun with {name}={before.get(name)!r}, and here it is {now.get(name)!r}; give the same "
                "command to go on, or another --name to begin anew"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever is killed meanwhile leaves the one from before."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML any more; give another --name to begin anew") from error


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
