"""A trained model, ready to use: built from the config.yaml beside its weights."""

import inspect
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeVar, overload

import lightning as L
from jsonargparse import ArgumentParser

from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO
from checkpoints.own_defaults import start_from_own_defaults
from checkpoints.pretrained import load_weights, put_weights, trained_file
from checkpoints.renamed_arguments import renamed
from checkpoints.run_model import model_beside

Module = TypeVar("Module", bound=L.LightningModule)


@overload
def load_trained(given: str | Path) -> L.LightningModule: ...


@overload
def load_trained(given: str | Path, kind: type[Module]) -> Module: ...


def load_trained(given: str | Path, kind: type[L.LightningModule] = L.LightningModule) -> L.LightningModule:
    """The trained module, in eval mode on the CPU.

    >>> policy = load_trained("pusht")

    Only tensors and plain values are read from weights; what is imported is what the config.yaml names.

    Args:
        given: a run's folder, for its best checkpoint, or its last where it has none; a checkpoint of a run; a folder
            of `pretrained/`, or the name of one.
        kind: the class that it must be of.

    Raises FileNotFoundError where there are no weights, or no config.yaml beside them; ValueError for a file that is
    damaged or not a checkpoint, for another kind of module, and where config and weights do not fit.
    """
    path = trained_file(given)
    model = model_beside(path)
    if model is None:
        raise FileNotFoundError(
            f"{path} has no config.yaml beside it, which says what it is the weights of; put that of its run there, or "
            "build the module yourself and use its load_from_checkpoint"
        )
    module = build(model)
    if not isinstance(module, kind):
        raise ValueError(f"{path} is of a {type(module).__name__}, and a {kind.__name__} is needed; name one of those")
    if path.suffix == ".safetensors":
        load_weights(module, path)
    else:
        put_weights(module, AtomicCheckpointIO().load_checkpoint(path)["state_dict"], path, training=False)
    return module.eval()


def build(model: dict[str, Any]) -> L.LightningModule:
    """The untrained module of a config's `model` part, as the command line builds it.

    Raises ValueError where that names something else, or arguments that it does not take, with their new names where
    they were renamed.
    """
    start_from_own_defaults()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(L.LightningModule, "model", fail_untyped=False)
    try:
        return parser.instantiate(parser.parse_object({"model": model})).model
    except Exception as error:  # whatever the classes raise that the config names
        first = error
        while isinstance(first.__cause__, Exception):  # the parser wraps what was raised first
            first = first.__cause__
        said = " ".join(str(first).split())
        hints = "".join(f"; {hint}" for hint in _renamed(model))
        raise ValueError(f"{model.get('class_path')} cannot be built as its config says: {said:.500}{hints}") from error


def _renamed(model: dict[str, Any]) -> list[str]:
    """The new names of arguments that the class of a config's `model` part no longer takes, in words."""
    try:
        takes = inspect.signature(resolve_name(model["class_path"])).parameters
    except Exception:  # whatever importing that class raises; the caller says that it cannot be built
        return []
    old = [name for name in model.get("init_args") or {} if name not in takes]
    return [hint for name in old if (hint := renamed(name, takes))]
