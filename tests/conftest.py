import gc
import os

import pytest
from rich import get_console

from datamodules import cache
from datamodules.sources import DATA_VARIABLE


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Decoded images of a test run stay with it; its processes share them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.CACHE_VARIABLE, str(folder / "cache"))
        yield


@pytest.fixture(autouse=True)
def no_progress_bar_is_left():
    """A run that ends in an error may leave a bar to the garbage collector, which would end the bar of a later run."""
    yield
    if getattr(get_console(), "_live_stack", None):
        gc.collect()
        get_console()._live_stack.clear()


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """`train.main` in an empty folder, without a data set."""
    monkeypatch.setenv(DATA_VARIABLE, "")
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.chdir(tmp_path)


def real_data(name: str) -> str:
    """The folder of a real data set; a test that asks for one which is absent is skipped."""
    folder = os.path.join(os.environ.get(DATA_VARIABLE, ""), name)
    if not os.environ.get(DATA_VARIABLE) or not os.path.isdir(folder):
        pytest.skip(f"{DATA_VARIABLE} names no folder with {name}/")
    return folder


@pytest.fixture
def human_data() -> str:
    """The human Push-T demonstrations."""
    return real_data("pusht")


@pytest.fixture
def mnist_data() -> str:
    return real_data("mnist")


@pytest.fixture
def cifar10_data() -> str:
    return real_data("cifar10")


@pytest.fixture
def svhn_data() -> str:
    return real_data("svhn")
