import os

import pytest

from datamodules import cache

SHARE = "FIRSTLIGHT_TEST_SHARE"  # "2/12": the second of every twelve of these tests; twelve processes run them all
GIVEN = os.environ.get(cache.CACHE_VARIABLE)


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


@pytest.fixture(scope="session", autouse=True)
def own_cache(own_cache):
    """Processes side by side draw the digits once."""
    with pytest.MonkeyPatch.context() as patch:
        if SHARE in os.environ and GIVEN:
            patch.setenv(cache.CACHE_VARIABLE, GIVEN)
        yield


def pytest_collection_modifyitems(items):
    number, _, shares = os.environ.get(SHARE, "1/1").partition("/")
    own = [item for item in items if "tests/gpu/" in item.nodeid]
    own.sort(key=lambda item: "compiled" in item.nodeid)  # what takes longest comes last
    kept = own[int(number) - 1 :: int(shares)]
    items[:] = [*(item for item in items if item not in own), *kept]
