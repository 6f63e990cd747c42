import os
import pickle

import numpy as np
import pytest

from numpy_core import storage

ARRAYS = {
    "a/0.weight": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32),
    "b": np.arange(5),
    "nothing": np.zeros((0, 3)),
    "scalar": np.array(1.5),
    "text": np.array('{"é": 1}'),
}


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "folder" / "file.npz"
    storage.save(path, ARRAYS)
    found = storage.load(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert [entry.name for entry in path.parent.iterdir()] == ["file.npz"]


def test_a_torn_file_is_one_clear_error(tmp_path):
    """Cut off anywhere."""
    path = tmp_path / "file.npz"
    storage.save(path, ARRAYS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"file\.npz is not a whole \.npz file.*cut off"):
            storage.load(path)


def test_a_damaged_file_never_gives_other_arrays(tmp_path):
    """With one byte changed anywhere: the clear error, or the same arrays where the byte does not matter."""
    path = tmp_path / "file.npz"
    storage.save(path, ARRAYS)
    whole = path.read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            found = storage.load(path)
        except ValueError:
            refused += 1
        else:
            for name in found.keys() & ARRAYS.keys():
                np.testing.assert_array_equal(found[name], ARRAYS[name])
    assert refused > len(whole) / 9


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "file.npz"
    path.write_text("not an archive")
    with pytest.raises(ValueError, match=r"is not a whole \.npz"):
        storage.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"is not a whole \.npz"):
        storage.load(path)


class Trap:
    """Makes a folder when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickle_in_the_file_never_runs(tmp_path):
    """The trap works when opened with pickle, and not here."""
    trap = Trap(tmp_path / "sprung")
    path = tmp_path / "file.npz"
    np.savez(path, weight=np.array([trap], object))
    with pytest.raises(ValueError, match="without pickle"):
        storage.load(path)
    path.write_bytes(pickle.dumps(trap))
    with pytest.raises(ValueError, match="without pickle"):
        storage.load(path)
    assert not trap.folder.exists()
    pickle.loads(path.read_bytes())
    assert trap.folder.exists()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        storage.load(tmp_path / "none.npz")


def test_objects_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"[Oo]bject arrays cannot be saved"):
        storage.save(tmp_path / "file.npz", {"a": np.array([{}], object)})


def test_a_crash_while_writing_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "file.npz"
    storage.save(path, ARRAYS)

    def crash(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", crash)
    with pytest.raises(OSError, match="no space left"):
        storage.save(path, {"b": np.zeros(5)})
    np.testing.assert_array_equal(storage.load(path)["b"], ARRAYS["b"])
