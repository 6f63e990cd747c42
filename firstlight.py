"""Firstlight from Python, and as an installed command.

>>> import firstlight
>>> policy = firstlight.load_pretrained("pusht")

Importing it registers `firstlight/PushT-v0` with gymnasium, and makes sure that `networks`, `envs` and the other
packages are Firstlight's: folders of the same names beside a user's script add files to them, and hide none.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkpoints.load_pretrained import load_pretrained

__all__ = ["load_pretrained"]

ROOT = Path(__file__).resolve().parent
NAMES = {
    *("adversarial", "app", "callbacks", "checkpoints", "cli", "datamodules", "decoding", "diffusion", "envs"),
    *("exercises", "lightning_modules", "metrics", "networks", "numpy_core", "optim", "planning"),
    *("train", "demo", "limits", "devices"),
}


class OwnPackages(MetaPathFinder):
    """Finds Firstlight's packages in their own place, whatever lies in the working directory.

    A file that a folder of such a name on `sys.path` has beside is found, too: a user's networks/mine.py is
    `networks.mine`. Where it has the name of one of Firstlight's, Firstlight's is taken, and a warning says so.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        *packages, _ = fullname.split(".")
        if not packages:
            return PathFinder.find_spec(fullname, [str(ROOT)]) if fullname in NAMES else None
        if packages[0] not in NAMES:
            return None
        others = [place for place in sys.path if not Path(place, Path(__file__).name).exists()]
        theirs = PathFinder.find_spec(fullname, [str(Path(place, *packages)) for place in others])
        ours = PathFinder.find_spec(fullname, path)
        if ours and theirs and theirs.origin != ours.origin:
            warnings.warn(f"{fullname} is Firstlight's own: rename {theirs.origin} to use it", stacklevel=2)
        return ours or theirs


def _put_first() -> None:
    """Make `import` find Firstlight's packages. Raises ImportError where others of their names are imported already."""
    for name in NAMES & sys.modules.keys():
        file = sys.modules[name].__file__
        if file is None or ROOT not in Path(file).resolve().parents:
            raise ImportError(f"{name} is another one's ({file}), and Firstlight has one: import firstlight before it")
    if not any(isinstance(finder, OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackages())


_put_first()
import_module("envs")  # registers the environment


def __getattr__(name: str) -> Any:
    if name == "load_pretrained":  # an environment alone needs no PyTorch
        from checkpoints.load_pretrained import load_pretrained

        return load_pretrained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def command_line() -> None:
    """The command `firstlight`: train.py, where the user's own modules may lie in the working directory."""
    sys.path.append(str(Path.cwd()))
    from train import command_line as run

    run()
