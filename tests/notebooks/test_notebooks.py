"""The notebooks: what they name is there; and, slowly, they run from the first cell to the last."""

import ast
import builtins
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import firstlight

jupytext = pytest.importorskip("jupytext")
ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]_*.md"))
PATIENCE = 1800  # seconds for a cell, on a machine that does much else


def code(path: Path) -> ast.Module:
    """All cells of a notebook as one program."""
    cells = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    return ast.parse("\n".join(cells), str(path))


def imported(tree: ast.Module) -> dict[str, object]:
    """What the notebook calls the modules, classes and functions that it imports; fails where one is not there."""
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = import_module(node.module)
                submodule = f"{node.module}.{alias.name}"
                value = getattr(module, alias.name, None) or import_module(submodule)
                found[alias.asname or alias.name] = value
    return found


def meant(node: ast.expr, names: dict[str, object]) -> object:
    """The object that an expression such as `nc.Linear` names; None for one that is not imported."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = meant(node.value, names)
        return getattr(owner, node.attr) if inspect.ismodule(owner) or inspect.isclass(owner) else None
    return None


def test_there_is_one_for_each_stage():
    assert [path.stem for path in NOTEBOOKS] == [
        *("1_numpy", "2_mlp", "3_cnn", "4_transformer", "5_gan", "6_ddpm", "7_pusht")
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_begins_with_its_title_and_names_its_kernel(path):
    """What stands before the title is read as such, and is no cell: `jupytext --execute` asks it for the kernel."""
    notebook = jupytext.read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].source.startswith(f"# {path.stem[0]}. ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_everything_named_is_there(path):
    """Imports, attributes of what is imported, keyword arguments, and no name that was never given."""
    tree = code(path)
    names = imported(tree)
    given = {*names, *dir(builtins)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            meant(node, names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            given.add(node.name)
        elif isinstance(node, ast.arg):
            given.add(node.arg)
        elif isinstance(node, ast.Call):
            called = meant(node.func, names)
            package = getattr(inspect.getmodule(called), "__name__", "").partition(".")[0]
            parameters = inspect.signature(called).parameters.values() if package in firstlight.NAMES else ()
            if parameters and not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
                unknown = {word.arg for word in node.keywords if word.arg} - {
                    parameter.name for parameter in parameters
                }
                assert not unknown, f"{ast.unparse(node.func)} takes no {unknown}"
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert used <= given


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_without_data(path, tmp_path, monkeypatch):
    """In an empty folder, without data sets."""
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path))
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(variable, "1")
    notebook = jupytext.read(path)
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=PATIENCE, kernel_name="python3", resources=resources).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if {"image/png", "image/svg+xml", "image/gif"} & output.get("data", {}).keys()
    ]
    assert pictures
    assert [path.name for path in tmp_path.iterdir()] == [], "a notebook leaves nothing behind"
