"""The README's and the docs' commands, in their shortest form."""

import re
import shlex
from pathlib import Path

import pytest

import train
from tests.test_train import ROOT, TINY, with_small_rollouts

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = sorted(
    {
        command.strip()
        for page in PAGES
        for command in re.findall(r"(?:`|^)(python train\.py [^`\n]+)", page.read_text(), re.M)
    }
)
MODULES = sorted({name for page in PAGES for name in re.findall(r"python -m ([a-z_]+\.[a-z0-9_.]+)", page.read_text())})
MAKE = sorted({name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.M)})


def test_there_are_commands():
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_files_that_a_command_names_exist(command):
    for path in re.findall(r"(?:configs|pretrained)/[\w./-]+", command):
        assert (ROOT / path).exists() or "NAME" in path, path


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if " fit " in c and "pusht" in c and not re.search("ckpt_path|init_from", c)]
)
def test_fit_commands_run(command, tmp_path, monkeypatch):
    """With a tiny network, two rollouts and four steps; the human data and recordings are replaced by what ships."""
    config = with_small_rollouts(tmp_path)
    tail = re.sub(r"--config configs/pusht\w*\.yaml", "", command.removeprefix("python train.py fit"))
    args = [str(ROOT / word) if word.startswith("configs/") else word for word in shlex.split(tail)]
    args = [
        re.sub(r"\b\w+\.parquet|(?<![\w/])(demos|corrections)\b", str(ROOT / "datamodules/bundled/pusht.parquet"), word)
        for word in args
    ]
    if any("ddp" in word or "gpu" in word for word in args):
        pytest.skip("needs two processes or a GPU")
    monkeypatch.chdir(tmp_path)
    train.main(["fit", "--config", str(config), *args, *(f"--{key}={value}" for key, value in TINY.items())])


@pytest.mark.parametrize("module", MODULES)
def test_modules_that_a_command_runs_exist(module):
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()


@pytest.mark.parametrize("target", MAKE)
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_pages_name_no_missing_page():
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
    assert Path(ROOT / "README.md") in PAGES
