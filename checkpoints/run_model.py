"""The model of a run: the part `model` of its config.yaml, which lies beside its checkpoints."""

from pathlib import Path
from typing import Any

from checkpoints.pretrained import read_config
from checkpoints.runs import CONFIG


def config_beside(path: str | Path) -> Path | None:
    """The config.yaml of a file of weights: in its folder, or in its run's, <run>/checkpoints/NAME.ckpt."""
    folder = Path(path).absolute().parent
    places = [folder / CONFIG, folder.parent / CONFIG] if folder.name == "checkpoints" else [folder / CONFIG]
    return next((place for place in places if place.is_file()), None)


def model_beside(path: str | Path) -> dict[str, Any] | None:
    """{"class_path": ..., "init_args": {...}} of the model that the weights belong to; None without a config.yaml."""
    config = config_beside(path)
    return read_config(config)["model"] if config else None


def taken(theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What a class still takes of another config's `model` part, and the names of arguments that it no longer takes.

    Args:
        theirs: the part `model` of that config.
        ours: the same of a config with all arguments that the class takes.

    Raises ValueError where the two are of different classes.
    """
    check_class(theirs["class_path"], ours)
    known = {**ours.get("init_args", {}), **ours.get("dict_kwargs", {})}
    arguments = {**(theirs.get("init_args") or {}), **(theirs.get("dict_kwargs") or {})}
    kept = {name: value for name, value in arguments.items() if name in known}
    return {"class_path": theirs["class_path"], "init_args": kept}, sorted(arguments.keys() - kept.keys())


def check_class(kind: str, ours: dict[str, Any]) -> None:
    """Raises ValueError where a checkpoint is of a class that the config's part `model` does not name."""
    if kind != ours["class_path"]:
        raise ValueError(
            f"the checkpoint is of another model, {kind}, than the config, {ours['class_path']}; use the config.yaml "
            "of the run that it comes from"
        )


def other_hyperparameters(checkpoint: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Plain hyperparameters in a checkpoint that the config's part `model` gives another value: (there, here).

    Raises ValueError where the checkpoint names another class.
    """
    theirs = dict(checkpoint.get("hyper_parameters") or {})
    check_class(theirs.pop("_class_path", ours["class_path"]), ours)
    arguments = ours.get("init_args", {})
    both = {name: (_plain(theirs[name]), _plain(arguments[name])) for name in theirs.keys() & arguments.keys()}
    plain = (bool, int, float, str, list, type(None))
    return {
        f"model.{name}": (there, here)
        for name, (there, here) in sorted(both.items())
        if isinstance(there, plain) and isinstance(here, plain) and there != here
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
