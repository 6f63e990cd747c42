"""Weights in files: where they are, which of them inference needs, and how they get into a module."""

from pathlib import Path

import lightning as L
import yaml
from jsonargparse import get_loader
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).parent.parent  # of the clone, or of the installed packages
SHIPPED = ROOT / "pretrained"
CHECKPOINTS = ("checkpoints/best.ckpt", "checkpoints/last.ckpt")  # of a run, from its folder


def read_config(path: str | Path) -> dict:
    """What a config names, read as the command line reads it: 1e-1 is a number, for which plain YAML asks for 1.0e-1.

    Raises ValueError where the file is not a YAML mapping with a `model`.
    """
    try:
        config = get_loader("yaml")(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the config {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ValueError(f"the config {path} names no model; it needs model: with class_path: and init_args:")
    return config


def inference_weights(module: L.LightningModule) -> dict[str, Tensor]:
    """The module's weights that inference needs, which is all that ships.

    A module some of whose weights serve training alone has `inference_prefixes`: how the names of the others begin.
    """
    prefixes = getattr(module, "inference_prefixes", ("",))
    return {name: value for name, value in module.state_dict().items() if name.startswith(prefixes)}


def trained_file(given: str | Path) -> Path:
    """The weights (.safetensors) or the checkpoint (.ckpt) that are meant.

    Args:
        given: such a file; a run's folder, for its best checkpoint, or its last where it has none; a folder of
            `pretrained/`, or the name of one. What is not in the working directory is looked for beside Firstlight.

    Raises FileNotFoundError where there is none.
    """
    for folder in (Path(given), SHIPPED / given, ROOT / given):
        for path in (folder, *(folder / name for name in ("model.safetensors", *CHECKPOINTS))):
            if path.is_file():
                return path
    shipped = ", ".join(sorted(path.parent.name for path in SHIPPED.glob("*/model.safetensors")))
    raise FileNotFoundError(
        f"there are no weights {given}; name a checkpoint (.ckpt), weights (.safetensors), the folder of a run"
        + (f", or one of {shipped}" if shipped else "")
    )


def load_weights(module: L.LightningModule, path: str | Path, training: bool = False) -> None:
    """Copy weights from a safetensors file into a module of the same shape; raises as `put_weights`."""
    put_weights(module, read_weights(path), path, training)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """What a safetensors file holds. Raises FileNotFoundError where there is none, ValueError where it is broken."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}; name weights (.safetensors) or a checkpoint (.ckpt)")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def begin_from(module: L.LightningModule, weights: dict[str, Tensor], path: str | Path) -> list[str]:
    """Copy weights into a module that is to be trained further, and may have parts that they lack.

    Every weight must have its place. Returns the names of the parts that begin anew, such as `features.image_encoder`:
    the first two words of their weights' names.

    Raises ValueError as `put_weights` does in training.
    """
    _check_whole(module, weights, path)
    unfit = f"the weights in {path} do not fit {type(module).__name__} as configured"
    try:
        lacking, unknown = module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(f"{unfit}: {_in_a_line(error)}; use the config.yaml beside them") from error
    if unknown:
        raise ValueError(f"{unfit}: it has no {', '.join(unknown)[:300]}; use the config.yaml beside them")
    return list(dict.fromkeys(".".join(name.split(".")[:2]) for name in lacking))


def put_weights(module: L.LightningModule, weights: dict[str, Tensor], path: str | Path, training: bool) -> None:
    """Copy weights, which a file holds, into a module of the same shape.

    Raises ValueError where some are missing: always those that inference needs, in `training` all others too.
    """
    if training:
        _check_whole(module, weights, path)
    elif weights.keys() == inference_weights(module).keys():
        weights = module.state_dict() | weights
    try:
        module.load_state_dict(weights)  # fp16 is widened to the module's own type
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {path} do not fit {type(module).__name__} as configured: {_in_a_line(error)}; "
            "use the config.yaml beside them"
        ) from error


def _check_whole(module: L.LightningModule, weights: dict[str, Tensor], path: str | Path) -> None:
    if weights.keys() == inference_weights(module).keys() < module.state_dict().keys():
        raise ValueError(
            f"{path} holds {type(module).__name__}'s weights for testing and drawing alone; "
            "to train or to validate, name a checkpoint (.ckpt) of a run"
        )


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
