"""`import firstlight`, and what the package is made of."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import firstlight
from tests.test_floors import FILES, FLOORS

ROOT = Path(firstlight.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DATA = {"configs", "pretrained"}


@pytest.fixture
def finder(monkeypatch, tmp_path):
    """The finder of a user who works in a folder with packages of Firstlight's names."""
    for path in ("networks/__init__.py", "networks/own_net.py", "networks/mlp.py", "optim/sub/own_schedule.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("MINE = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    return firstlight.OwnPackages()


def test_the_package_has_every_folder_and_module():
    names = {*FLOORS, *(path.stem for path in ROOT.glob("*.py"))} - {"firstlight"}
    assert names == firstlight.NAMES
    tools = PROJECT["tool"]["setuptools"]
    assert {f"{name}*" for name in FLOORS} | {f"{name}*" for name in DATA} == set(tools["packages"]["find"]["include"])
    assert set(tools["py-modules"]) == names - FLOORS.keys() | {"firstlight"}
    assert set(PROJECT["tool"]["mypy"]["packages"]) == FLOORS.keys() | {"benchmarks", "examples"}
    assert set(PROJECT["tool"]["mypy"]["modules"]) == set(tools["py-modules"])


def test_what_is_imported_is_a_dependency():
    """Some other package may bring it today."""
    named = PROJECT["project"]["dependencies"]
    wanted = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in named}
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted |= {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for lines in extras for line in lines}
    known = packages_distributions()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for first in {name.partition(".")[0] for name in names} - firstlight.NAMES - sys.stdlib_module_names:
                brought_by = {name.lower().replace("_", "-") for name in known.get(first, [first])}
                assert brought_by & wanted, f"{path} imports {first}, which pyproject.toml does not name"


def test_firstlights_own_packages_are_found_first(finder):
    assert Path(finder.find_spec("networks").origin).parent.parent == ROOT
    assert Path(finder.find_spec("train").origin) == ROOT / "train.py"
    assert finder.find_spec("numpy") is None
    assert finder.find_spec("numpy.random", ["x"]) is None


def test_a_users_files_are_found_beside_them(finder, tmp_path):
    inside = [str(ROOT / "networks")]
    assert finder.find_spec("networks.own_net", inside).origin == str(tmp_path / "networks/own_net.py")
    assert finder.find_spec("networks.nowhere", inside) is None
    sub = finder.find_spec("optim.sub", [str(ROOT / "optim")])  # a folder without __init__.py
    assert list(sub.submodule_search_locations) == [str(tmp_path / "optim/sub")]
    found = finder.find_spec("optim.sub.own_schedule", sub.submodule_search_locations)
    assert found.origin == str(tmp_path / "optim/sub/own_schedule.py")


def test_a_file_of_the_same_name_is_said(finder, tmp_path):
    message = f"networks.mlp is Firstlight's own: rename {tmp_path / 'networks/mlp.py'} to use it"
    with pytest.warns(UserWarning, match=re.escape(message)):
        assert finder.find_spec("networks.mlp", [str(ROOT / "networks")]).origin == str(ROOT / "networks/mlp.py")


def test_another_firstlight_on_the_path_is_not_a_users(monkeypatch, tmp_path):
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks/mlp.py").touch()
    (tmp_path / "firstlight.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    ours = firstlight.OwnPackages().find_spec("networks.mlp", [str(ROOT / "networks")])  # warnings are errors here
    assert ours.origin == str(ROOT / "networks/mlp.py")


def test_packages_that_are_imported_already_are_refused(tmp_path):
    (tmp_path / "networks").mkdir()
    code = f"import networks, sys; sys.path.append({str(ROOT)!r}); import firstlight"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ImportError: ")]
    assert "networks is another one's (None), and Firstlight has one: import firstlight before it" in line


def test_it_needs_no_torch_until_a_model_is_asked_for():
    code = "import sys, firstlight, gymnasium; gymnasium.make('firstlight/PushT-v0')"
    code += "; raise SystemExit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert firstlight.load_pretrained is importlib.import_module("checkpoints.load_pretrained").load_pretrained
    with pytest.raises(AttributeError, match="has no attribute 'load_pretained'"):
        _ = firstlight.load_pretained


def test_one_version_is_told_everywhere():
    version = PROJECT["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == version


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_issue_templates_are_forms(path):
    """As GitHub asks of them: https://docs.github.com/communities (syntax for issue forms)."""
    form = yaml.safe_load(path.read_text())
    assert form.keys() >= {"name", "description", "body"}
    assert len({part["id"] for part in form["body"]}) == len(form["body"])
    for part in form["body"]:
        assert part["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert part["attributes"]["label"]
