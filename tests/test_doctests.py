"""The examples in docstrings are run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

from tests.test_floors import FILES

ROOT = Path(__file__).parent.parent
WITH_EXAMPLES = [path for path in (*FILES, ROOT / "limits.py") if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = import_module(".".join(parts).removesuffix(".__init__"))
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed
