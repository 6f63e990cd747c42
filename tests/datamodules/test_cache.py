import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from datamodules import cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def made(calls):
    calls.append(1)
    return {"a": torch.arange(6).view(2, 3).T}  # not contiguous


def test_made_once_then_read(folder):
    calls = []
    first, second = (cache.cached("key", lambda: made(calls)) for _ in range(2))
    assert len(calls) == 1
    assert torch.equal(first["a"], second["a"])
    assert [path.name for path in folder.iterdir()] == ["key.safetensors"]


@pytest.mark.parametrize("damage", [b"", b"torn", None])
def test_a_broken_file_is_made_again(folder, damage):
    calls = []
    cache.cached("key", lambda: made(calls))
    path = folder / "key.safetensors"
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    assert torch.equal(cache.cached("key", lambda: made(calls))["a"], torch.arange(6).view(2, 3).T)
    assert len(calls) == 2
    assert load_file(path)["a"].shape == (3, 2)


def test_a_folder_that_cannot_be_written_is_no_obstacle(folder):
    folder.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="FIRSTLIGHT_CACHE"):
        assert cache.cached("key", lambda: made([]))["a"].shape == (3, 2)


def test_without_the_variable_it_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "firstlight"


def test_digests_tell_contents_apart():
    assert cache.digest([b"a", b"b"]) == cache.digest([b"a", b"b"])
    assert cache.digest([b"a", b"b"]) != cache.digest([b"b", b"a"])


def test_two_that_make_the_same_file_at_once(folder):
    """Each writes a file of its own and renames it when it is whole."""

    def make():
        inner = cache.cached("key", lambda: made([]))  # another one is done first
        assert [path.name for path in folder.iterdir()] == ["key.safetensors"]
        return inner

    assert torch.equal(cache.cached("key", make)["a"], torch.arange(6).view(2, 3).T)
    assert [path.name for path in folder.iterdir()] == ["key.safetensors"]


def rows(count=5, without=()):
    return (None if number in without else np.full((2, 3), number, np.uint8) for number in range(count))


@pytest.mark.parametrize("in_memory", [0, 1e9])
def test_rows_are_written_one_after_another(folder, in_memory):
    """A file that the library of its format reads."""
    made = []

    def make():
        made.append(1)
        return rows(without=(1, 4))

    for _ in range(2):
        found = cache.cached_rows("key", 5, (2, 3), make, in_memory)
        assert found["rows"][:, 0, 0].tolist() == [0, 2, 3]
        assert found["kept"].tolist() == [True, False, True, True, False]
    assert len(made) == 1
    theirs = load_file(folder / "key.safetensors")
    assert all(torch.equal(found[name], theirs[name]) for name in theirs)
    assert [path.name for path in folder.iterdir()] == ["key.safetensors"]


def test_no_rows(folder):
    found = cache.cached_rows("key", 0, (2, 3), lambda: rows(0), 0)
    assert (found["rows"].shape, found["kept"].shape) == ((0, 2, 3), (0,))


def test_rows_that_cannot_be_made_leave_nothing(folder):
    def make():
        yield from rows(3)
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        cache.cached_rows("key", 5, (2, 3), make, 0)
    assert list(folder.iterdir()) == []


def test_a_broken_file_of_rows_is_made_again(folder):
    cache.cached_rows("key", 5, (2, 3), rows, 0)
    path = folder / "key.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    assert cache.cached_rows("key", 5, (2, 3), rows, 0)["rows"].shape == (5, 2, 3)
