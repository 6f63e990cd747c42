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
