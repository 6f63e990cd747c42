"""The trained models that a tab offers: those that ship, and the newest run of every config; loaded when first used.

`checkpoints` is imported where it is used: Lightning comes with it, in seconds, and the page need not wait for that.
"""

import threading
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from checkpoints.runs import newest

ROOT = Path(__file__).parent.parent
MOST_LOADED = 24  # models that are kept in memory


class Models:
    """Trained models by name: "pusht" is shipped, "runs/pusht/version_3" is a run. A name is never a path.

    Args:
        runs: the folder of all runs.
    """

    def __init__(self, runs: Path):
        self.runs = runs
        self._loaded: dict[tuple[str, float], Any] = {}
        self._lock = threading.Lock()

    def places(self) -> dict[str, Path]:
        """Where each is, shipped ones first."""
        from checkpoints.pretrained import SHIPPED

        shipped = {path.parent.name: path.parent for path in sorted(SHIPPED.glob("*/model.safetensors"))}
        own = [run for folder in sorted(self.runs.glob("*")) for run in newest(folder)[:1]]
        return shipped | {f"runs/{run.parent.name}/{run.name}": run for run in own}

    def of(
        self, classes: Collection[str], fits: Callable[[dict[str, Any]], bool] = lambda arguments: True
    ) -> dict[str, Path]:
        """Those whose config names one of these classes, or a subclass, with constructor arguments that fit."""
        found = {}
        for name, place in self.places().items():
            try:
                model = model_of(place)
            except (OSError, ValueError):  # a run that is being deleted, or somebody else's file
                continue
            if _is_of(model.get("class_path"), classes) and fits(model.get("init_args") or {}):
                found[name] = place
        return found

    def load(self, name: str, place: Path, loading: Callable[[], None]) -> Any:
        """The module in eval mode; `loading` is called first where that takes a while.

        A run that has a newer checkpoint since is loaded again.
        """
        from checkpoints.load_trained import load_trained
        from checkpoints.pretrained import trained_file

        file = trained_file(place)
        key = name, file.stat().st_mtime
        if key not in self._loaded:
            loading()
            with self._lock:
                if key not in self._loaded:
                    module = load_trained(place)
                    self._loaded = {other: kept for other, kept in self._loaded.items() if other[0] != name}
                    while len(self._loaded) >= MOST_LOADED:
                        self._loaded.pop(next(iter(self._loaded)))
                    self._loaded[key] = module
        return self._loaded[key]


def _is_of(class_path: Any, classes: Collection[str]) -> bool:
    """Whether a dotted name is one of these classes, or of a subclass; ours are told without importing them."""
    if class_path in classes:
        return True
    if not isinstance(class_path, str) or class_path.startswith("lightning_modules."):
        return False
    try:
        parents = resolve_name(class_path).__mro__
    except Exception:  # whatever importing somebody's class raises: it cannot be offered
        return False
    return any(f"{parent.__module__}.{parent.__qualname__}" in classes for parent in parents)


def config_of(place: Path) -> dict[str, Any]:
    """What the config beside a trained model says; empty where there is none. Raises as `read_config`."""
    from checkpoints.pretrained import trained_file
    from checkpoints.run_model import config_beside

    config = config_beside(trained_file(place))
    return _read(config, config.stat().st_mtime) if config else {}


@lru_cache(maxsize=1000)  # a policy is asked for several times a second
def _read(config: Path, changed: float) -> dict[str, Any]:
    from checkpoints.pretrained import read_config

    return read_config(config)


def model_of(place: Path) -> dict[str, Any]:
    """The part `model` of that config; empty where there is none."""
    return config_of(place).get("model") or {}


def class_of(place: Path) -> str:
    """The dotted name of a trained model's class."""
    return str(model_of(place).get("class_path"))


def arguments_of(place: Path) -> dict[str, Any]:
    """The constructor's arguments in the config of a trained model."""
    return model_of(place).get("init_args") or {}


def command_of(name: str) -> str:
    """The command that trains such a model, by its name."""
    config = name.split("/")[1] if name.startswith("runs/") else name
    path = (
        f"configs/{config}.yaml"
        if (ROOT / "configs" / f"{config}.yaml").is_file()
        else f"pretrained/{config}/config.yaml"
    )
    return f"python train.py fit --config {path}"


def data_of(place: Path) -> str:
    """The dotted name of the datamodule that a trained model was trained on; "" where its config names none."""
    data = config_of(place).get("data")
    return str(data.get("class_path", "")) if isinstance(data, dict) else ""


def class_names(place: Path) -> list[str]:
    """Names of the classes of a trained model, by the data that it was trained on; numbers where these have none."""
    count = arguments_of(place).get("num_classes") or 0
    try:
        names: Any = resolve_name(data_of(place)).class_names
    except (ValueError, AttributeError, ImportError):
        names = None
    known = isinstance(names, tuple | list) and len(names) == count
    return [str(name) for name in names] if known else [str(number) for number in range(count)]
