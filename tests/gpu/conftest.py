import os

import pytest

SHARE = (
    "FIRSTLIGHT_TEST_SHARE"  # "2/12" runs the second of every twelve of these tests: several processes, a share each
)


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


def pytest_collection_modifyitems(items):
    number, _, shares = os.environ.get(SHARE, "1/1").partition("/")
    own = [item for item in items if "tests/gpu/" in item.nodeid]
    kept = own[int(number) - 1 :: int(shares)]
    items[:] = [item for item in items if item in kept or item not in own]
