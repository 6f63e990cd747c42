"""The configs that a command line names, as they stand in their files."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from cli.messages import say

ROOT = Path(__file__).parent.parent  # of the clone, or of the installed packages
OPTIONS = ("--config", "-c")


def with_found_configs(args: list[str]) -> list[str]:
    """A command line with the paths of its configs: mnist_mlp is Firstlight's configs/mnist_mlp.yaml.

    What is not in the working directory is looked for beside Firstlight, so that its own configs have the same paths
    anywhere.
    """
    found = list(args)
    for i, word in enumerate(args):
        option, equals, path = word.partition("=")
        if option in OPTIONS and equals:
            found[i] = f"{option}={_found(path)}"
        elif i and args[i - 1] in OPTIONS:
            found[i] = _found(word)
    return found


def _found(given: str) -> str:
    for path in (Path(given), ROOT / given, ROOT / "configs" / f"{given}.yaml"):
        if path.is_file():
            return str(path)
    return given


def read_configs(args: list[str]) -> list[dict[str, Any]]:
    """The contents of all `--config FILE` of a command line; `--model CLASS` is like a config of that one line.

    Says where a config drops the callbacks of one before it.

    Raises OSError or ValueError, with the file's name, for a config that is not a YAML mapping.
    """
    words = [word for arg in args for word in arg.split("=", 1)]
    contents = []
    callbacks: list[str] = []
    for option, path in pairwise(words):
        if option == "--model":
            contents.append({"model": path})
        if option not in OPTIONS:
            continue
        content = _read(path)
        names = _callbacks(content)
        if dropped := [name for name in callbacks if names is not None and name not in names]:
            say(f"{path} leaves out {', '.join(dropped)} of the config before it; callbacks+: adds to those")
        callbacks = callbacks if names is None else names
        contents.append(content)
    return contents


def model_arguments(configs: list[dict[str, Any]]) -> set[str]:
    """The names of the model's arguments that configs give; a class in place of another one begins anew."""
    given: set[str] = set()
    kind = None
    for model in (config.get("model") for config in configs):
        named = model.get("class_path") if isinstance(model, dict) else model
        short = named.rpartition(".")[2] if isinstance(named, str) else None  # a class may be named with its module
        given = given if short in (kind, None) else set()
        kind = short or kind
        arguments = model.get("init_args", model) if isinstance(model, dict) else None
        given |= set(arguments) if isinstance(arguments, dict) else set()
    return given


def _read(path: str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no config {path}; python train.py without arguments lists them")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the config {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"the config {path} must name values, such as model: and data:; it holds {content!r:.80}")
    return content


def _callbacks(config: dict[str, Any]) -> list[str] | None:
    """The classes that a config's own list of callbacks names, None where it has no list."""
    trainer = config.get("trainer")
    if not isinstance(trainer, dict) or "callbacks" not in trainer:
        return None
    given = trainer["callbacks"] or []
    paths = [
        one.get("class_path") if isinstance(one, dict) else one
        for one in (given if isinstance(given, list) else [given])
    ]
    return [str(path).rpartition(".")[2] for path in paths]
