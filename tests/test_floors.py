"""A file imports only from floors below its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MATHS = {"networks", "decoding", "diffusion", "adversarial", "metrics", "optim", "checkpoints", "envs", "planning"}
FLOORS = {
    "numpy_core": set(),
    **{floor: MATHS - {floor} for floor in sorted(MATHS)},
    "datamodules": MATHS,
    "lightning_modules": MATHS,
    "callbacks": MATHS | {"datamodules", "lightning_modules"},
    "cli": MATHS | {"datamodules", "lightning_modules", "callbacks"},
}
NOT_THERE = {
    "numpy_core": {"torch", "lightning"},
    "networks": {"lightning"},
    "decoding": {"lightning"},
    "diffusion": {"lightning"},
    "adversarial": {"lightning"},
    "metrics": {"lightning"},
    "envs": {"torch", "lightning"},
    "planning": {"torch", "lightning"},
}
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path):
    floor = path.relative_to(ROOT).parts[0]
    upward = imported(path) & ({*FLOORS, "train", "demo", "benchmarks"} - FLOORS[floor] - {floor})
    assert not upward, f"{path.relative_to(ROOT)} imports from {upward}, which do not lie below {floor}"
    foreign = imported(path) & NOT_THERE.get(floor, set())
    assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}, which {floor} does without"


def test_the_test_sees_an_upward_import(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    from lightning_modules.gan import GAN\n    import train\n")
    assert imported(path) == {"lightning_modules", "train"}
