import os
import pickle
import subprocess
import sys
import time

import pytest
import torch

from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO

FILES = AtomicCheckpointIO()
CHECKPOINT = {"state_dict": {"weight": torch.arange(6.0)}, "global_step": 3, "pytorch-lightning_version": "2.6.6"}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "last.ckpt"
    FILES.save_checkpoint(CHECKPOINT, path)
    read = FILES.load_checkpoint(path, weights_only=True)
    assert read["global_step"] == 3
    torch.testing.assert_close(read["state_dict"]["weight"], torch.arange(6.0))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_process_that_dies_while_it_writes_leaves_the_old_file(moment, tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    FILES.save_checkpoint(CHECKPOINT, path)

    def die(*args):
        raise KeyboardInterrupt  # as nothing that the writer handles

    monkeypatch.setattr(*{"fsync": ("os.fsync", die), "replace": ("pathlib.Path.replace", die)}[moment])
    with pytest.raises(KeyboardInterrupt):
        FILES.save_checkpoint(CHECKPOINT | {"global_step": 4}, path)
    assert FILES.load_checkpoint(path)["global_step"] == 3


def test_kill_9_while_it_writes_leaves_a_whole_file(tmp_path):
    """Written over and over by a process that is killed at ten moments."""
    script = (
        "import sys, torch\nfrom checkpoints.atomic_checkpoint_io import AtomicCheckpointIO\n"
        "for step in range(10**6):\n"
        "    weights = {'weight': torch.full((200_000,), float(step))}\n"
        "    content = {'pytorch-lightning_version': '2.6.6', 'state_dict': weights, 'global_step': step}\n"
        "    AtomicCheckpointIO().save_checkpoint(content, sys.argv[1])\n"
    )
    path = tmp_path / "last.ckpt"
    FILES.save_checkpoint(CHECKPOINT, path)
    process = subprocess.Popen([sys.executable, "-c", script, str(path)])
    while FILES.load_checkpoint(path)["state_dict"]["weight"].numel() == 6:
        time.sleep(0.05)
        assert process.poll() is None
    for _ in range(10):
        time.sleep(0.013)
        copy = FILES.load_checkpoint(path)  # at any moment, not only after the kill
        assert (copy["state_dict"]["weight"] == copy["global_step"]).all()
    process.kill()
    process.wait()
    copy = FILES.load_checkpoint(path)
    assert (copy["state_dict"]["weight"] == copy["global_step"]).all()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_clear_line_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "last.ckpt"
    FILES.save_checkpoint(CHECKPOINT, path)
    (tmp_path / "last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"cannot write the checkpoint .*last\.ckpt: No space left on device.*whole"):
        FILES.save_checkpoint(CHECKPOINT | {"global_step": 4}, path)
    assert FILES.load_checkpoint(path)["global_step"] == 3
    assert not (tmp_path / "last.ckpt.part").is_symlink()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write the checkpoint .*file/last\.ckpt"):
        FILES.save_checkpoint(CHECKPOINT, tmp_path / "file" / "last.ckpt")


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9, 0.999])
def test_a_torn_file_is_recognised_and_named(kept, tmp_path):
    path = tmp_path / "last.ckpt"
    FILES.save_checkpoint(CHECKPOINT, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"last\.ckpt is torn, or no checkpoint"):
        FILES.load_checkpoint(path, weights_only=True)


@pytest.mark.parametrize("content", [b"no checkpoint at all", b"\x00" * 300, pickle.dumps([1, 2])])
def test_what_is_no_checkpoint_is_named(content, tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.ckpt is"):
        FILES.load_checkpoint(path, weights_only=True)


def test_a_checkpoint_of_something_else_is_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt is no checkpoint of a Lightning run"):
        FILES.load_checkpoint(tmp_path / "other.ckpt", weights_only=True)


def test_a_crafted_pickle_is_not_executed(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"state_dict": {}, "hook": Payload()}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="torn, or no checkpoint"):
        FILES.load_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    with pytest.raises(ValueError, match="torn, or no checkpoint"):
        FILES.load_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "executed").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        FILES.load_checkpoint(tmp_path / "none.ckpt")
