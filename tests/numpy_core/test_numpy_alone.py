"""numpy_core runs where nothing but NumPy is installed."""

import subprocess
import sys
from pathlib import Path

import numpy_core

CODE = """
import sys

class NumPyAlone:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first not in ("numpy", "numpy_core") and first not in sys.stdlib_module_names and not first.startswith("_"):
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

sys.meta_path.insert(0, NumPyAlone())
try:
    import yaml
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("what is not NumPy was found")

import doctest, pkgutil
import numpy_core
for module in pkgutil.iter_modules(numpy_core.__path__, "numpy_core."):
    __import__(module.name)
raise SystemExit(doctest.testmod(numpy_core).failed)
"""


def test_numpy_core_imports_numpy_and_nothing_else():
    """And trains a network: its own example."""
    root = Path(numpy_core.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
