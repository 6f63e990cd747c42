"""A file imports only from floors below its own, by statement or by string."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the lowest to the highest, each with the floors that it may import from; `limits` and `devices` lie under all but
# numpy_core.
FLOORS = {
    "numpy_core": set(),
    "metrics": set(),
    "checkpoints": set(),
    "adversarial": set(),
    "diffusion": set(),
    "envs": {"metrics"},
    "planning": {"envs"},
    "networks": {"diffusion", "envs"},
    "decoding": {"networks"},
    "optim": {"networks"},
    "datamodules": {"networks", "envs"},
}
MATHS = {"networks", "decoding", "diffusion", "adversarial", "metrics", "optim", "checkpoints", "envs", "planning"}
FLOORS["lightning_modules"] = MATHS  # and not datamodules: the two meet in lightning_modules/data_contract.py
FLOORS["callbacks"] = MATHS | {"datamodules", "lightning_modules"}
FLOORS["cli"] = FLOORS["callbacks"] | {"callbacks"}
FLOORS["app"] = FLOORS["exercises"] = FLOORS["callbacks"] | {"numpy_core"}
TOPS = {"train", "demo", "benchmarks", "examples", "tests"}  # nothing imports these
NOT_THERE = {
    "numpy_core": {"torch", "lightning", "limits", "devices"},
    "networks": {"lightning"},
    "decoding": {"lightning"},
    "diffusion": {"lightning"},
    "adversarial": {"lightning"},
    "metrics": {"lightning"},
    "envs": {"torch", "lightning"},
    "planning": {"torch", "lightning"},
}
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
DOTTED = re.compile(r"(\w+(?:\.\w+)+)(?::\w+)?")


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it; those that it names in a string, too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and _is_import(node.func) and isinstance(node.args[0], ast.Constant):
            names.add(node.args[0].value.split(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_ours(node.value):
            names.add(node.value.split(".")[0])
    return names


def _is_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return name in ("import_module", "__import__")


def _is_ours(text: str) -> bool:
    """Whether a string is the dotted name of a module of this repository, or of something in one, as in "a.b:c"."""
    match = DOTTED.fullmatch(text)
    first, second = match[1].split(".")[:2] if match else ("", "")
    return first in {*FLOORS, *TOPS} and ((ROOT / first / second).is_dir() or (ROOT / first / f"{second}.py").exists())


def upward(path: Path, floor: str) -> set[str]:
    """What a file on a floor imports and may not."""
    return imported(path) & ({*FLOORS, *TOPS} - FLOORS[floor] - {floor})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path):
    floor = path.relative_to(ROOT).parts[0]
    assert not upward(path, floor), f"{path.relative_to(ROOT)} imports from floors that do not lie below {floor}"
    foreign = imported(path) & NOT_THERE.get(floor, set())
    assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}, which {floor} does without"


def test_the_ground_imports_nothing_of_ours():
    for ground in ("limits.py", "devices.py"):
        assert not imported(ROOT / ground) & {*FLOORS, *TOPS}


NUMPY_ALONE = """
import doctest, pkgutil, sys

class NothingElse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"numpy", "numpy_core", *sys.stdlib_module_names}:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NothingElse())
import numpy_core

for module in pkgutil.iter_modules(numpy_core.__path__, "numpy_core."):
    __import__(module.name)
assert doctest.testmod(numpy_core).attempted > 5  # trains a network
assert not doctest.testmod(numpy_core).failed
"""


def test_numpy_core_needs_numpy_alone():
    """In an interpreter that finds no other package, all of it is imported, and its example trained."""
    done = subprocess.run([sys.executable, "-c", NUMPY_ALONE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_is_no_cycle():
    """Every floor imports only from floors that are listed before it."""
    order = list(FLOORS)
    for floor, below in FLOORS.items():
        assert below <= set(order[: order.index(floor)]), floor


def test_every_package_has_a_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - TOPS == FLOORS.keys()


@pytest.mark.parametrize(
    "line",
    [
        "from lightning_modules.gan import GAN",
        "import train",
        "import callbacks.figures as figures",
        'import_module("callbacks")',
        'importlib.import_module("cli.precision")',
        '__import__("datamodules")',
        'runner = "callbacks.rollouts:run_checkpoint"',
        'kind = {"class_path": "datamodules.mnist.MNIST"}',
    ],
)
def test_the_test_sees_an_upward_import(line, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(f"def f():\n    {line}\n")
    assert upward(path, "envs")


@pytest.mark.parametrize(
    "line",
    [
        "import numpy.random",
        "from metrics.wilson_interval import wilson_interval",
        'entry_point = "envs.pusht:PushT"',
        '"""Used by `callbacks.rollouts`."""',
        'print("callbacks.", "train", "datamodules.nowhere.Thing", "python -m cli.record")',
    ],
)
def test_the_test_sees_no_more_than_that(line, tmp_path):
    path = tmp_path / "good.py"
    path.write_text(f"def f():\n    {line}\n")
    assert not upward(path, "envs")
