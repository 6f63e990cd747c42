import pytest


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")
