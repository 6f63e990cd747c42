"""numpy_core needs NumPy and Python, and nothing else: seen by following every import, also those inside functions."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ALLOWED = {"numpy", *sys.stdlib_module_names}


def imported(path: Path, package: str) -> set[str]:
    """Dotted names of all that a file imports, of `from a import b` both a and a.b: b may be a module."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def source(name: str, root: Path) -> Path | None:
    """The file of a module below `root`."""
    stem = root.joinpath(*name.split("."))
    return next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)


def walk(start: str, root: Path) -> tuple[set[Path], set[str]]:
    """From a package on: every file of it that is reached, and each import that leads to something not allowed."""
    reached, foreign, waiting = set(), set(), [start]
    while waiting:
        name = waiting.pop()
        path = source(name, root)
        if name.split(".")[0] != start:
            if name.split(".")[0] not in ALLOWED:
                foreign.add(name)
        elif path is not None and path not in reached:
            reached.add(path)
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            waiting += imported(path, package)
    return reached, foreign


def test_nothing_but_numpy_and_python():
    reached, foreign = walk("numpy_core", ROOT)
    assert not foreign
    assert reached == set((ROOT / "numpy_core").rglob("*.py")), "every file is reached from the package"


@pytest.mark.parametrize(
    "line",
    ["import torch", "def f():\n    from torch.nn import functional", "try:\n    import torch.nn as nn\nexcept: pass"],
)
def test_the_test_sees_a_foreign_import(line, tmp_path):
    """Two files away from where it starts."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "__init__.py").write_text("import numpy as np\nfrom library import first\n")
    (folder / "first.py").write_text("def f():\n    from .second import g\n")
    (folder / "second.py").write_text(line)
    reached, foreign = walk("library", tmp_path)
    assert len(reached) == 3
    assert {name.split(".")[0] for name in foreign} == {"torch"}
