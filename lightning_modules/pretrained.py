"""Weights that come without a checkpoint: a folder of `pretrained/` with `config.yaml` and `model.safetensors`."""

from importlib import import_module
from pathlib import Path

import lightning as L
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file


def load_pretrained(folder: str | Path) -> L.LightningModule:
    """The module that the folder's config names, with the folder's weights, in eval mode on the CPU.

    >>> policy = load_pretrained("pretrained/pusht")

    Raises FileNotFoundError where the folder lacks one of its two files, ValueError where they do not fit.
    """
    folder = Path(folder)
    for name in ("config.yaml", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; name a folder of pretrained/, such as pretrained/pusht")
    model = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    package, name = model["class_path"].rsplit(".", 1)
    kind = getattr(import_module(package), name)
    if not (isinstance(kind, type) and issubclass(kind, L.LightningModule)):
        raise ValueError(f"{folder / 'config.yaml'} names {model['class_path']}, which is no LightningModule")
    module = kind(**model.get("init_args", {}))
    load_weights(module, folder / "model.safetensors")
    return module.eval()


def load_weights(module: L.LightningModule, path: str | Path) -> None:
    """Copy weights from a safetensors file into a module of the same shape."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}; name weights (.safetensors) or a checkpoint (.ckpt)")
    try:
        module.load_state_dict(load_file(path))  # fp16 is widened to the module's own type
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {path} do not fit {type(module).__name__} as configured: "
            f"{' '.join(str(error).split())[:300]}; use the config.yaml beside them"
        ) from error
