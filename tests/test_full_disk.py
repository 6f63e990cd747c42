"""A disk that fills up: one clear line, and what was saved before is whole. On a small file system of its own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from datamodules import cache
from tests.test_bad_input import refused  # noqa: F401  the fixture
from tests.test_train import ROOT

MEGABYTE = 2**20
MLP = "--config configs/mnist_mlp.yaml --data.source fonts --data.batch_size 100 --trainer.precision 32-true"
QUICK = "--trainer.limit_train_batches 1 --trainer.limit_val_batches 1 --trainer.num_sanity_val_steps 0"
WEIGHTS = "--model.hidden [256] --model.batch_norm false"  # 2.4 MB a checkpoint, with Adam's state


@pytest.fixture
def disk(tmp_path):
    """disk(megabytes): a folder that holds no more; skipped where nothing may be mounted."""
    mounted: list[Path] = []

    def make(megabytes: float) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        options = f"size={int(megabytes * MEGABYTE)}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("mounting a file system is not permitted")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no room at all."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_checkpoints_on_a_full_disk(disk, refused, monkeypatch):  # noqa: F811
    """The first fits, the second does not: the run ends with a line, the first opens, no half file is left."""
    folder = disk(6)
    monkeypatch.chdir(folder)
    said = refused(
        f"fit {MLP} {WEIGHTS} {QUICK} --trainer.max_epochs 8 --trainer.check_val_every_n_epoch 1 "
        "--checkpoint.monitor null --checkpoint.mode min --checkpoint.save_top_k -1 --checkpoint.filename '{epoch}'"
    )
    assert "cannot write the checkpoint" in said
    assert "No space left on device" in said
    assert "what was saved before is whole" in said
    saved = sorted(folder.glob("runs/mnist_mlp/version_0/checkpoints/*"))
    assert saved
    for path in saved:
        assert path.suffix == ".ckpt"
        assert torch.load(path, weights_only=True)["state_dict"]


def test_a_log_on_a_full_disk(disk, refused, monkeypatch):  # noqa: F811
    """Checkpoints lie elsewhere; TensorBoard's log and the run's config find no room."""
    folder = disk(1)
    fill(folder)
    said = refused(
        f"fit {MLP} {WEIGHTS} {QUICK} --trainer.max_epochs 2 --trainer.log_every_n_steps 1 "
        "--trainer.logger lightning.pytorch.loggers.TensorBoardLogger "
        f"--trainer.logger.save_dir {folder} --checkpoint.dirpath here"
    )
    assert "No space left on device" in said


@pytest.mark.slow
def test_a_log_that_fills_the_disk_while_training(disk):
    """TensorBoard writes from a thread of its own: in a process of its own, the run ends and does not hang."""
    folder = disk(0.25)
    words = f"{MLP} {WEIGHTS} --trainer.max_epochs 40 --trainer.log_every_n_steps 1 --trainer.limit_val_batches 1 "
    words += f"--trainer.logger lightning.pytorch.loggers.TensorBoardLogger --trainer.logger.save_dir {folder} "
    words += f"--checkpoint.dirpath {folder.parent}/kept"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "train.py"), "fit", *words.split()],
        cwd=ROOT,
        env=os.environ | {"FIRSTLIGHT_DATA": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]


def test_the_cache_on_a_full_disk(disk, monkeypatch):
    """Nothing is kept, a warning says so, the data are there, and no half file is left."""
    folder = disk(1)
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(folder))
    tensors = {"images": torch.arange(2 * MEGABYTE, dtype=torch.uint8)}
    with pytest.warns(UserWarning, match="cannot keep decoded data"):
        kept = cache.cached("large", lambda: tensors)
    assert torch.equal(kept["images"], tensors["images"])
    assert not list(folder.iterdir())


def test_predictions_on_a_full_disk(disk, refused, monkeypatch):  # noqa: F811
    folder = disk(1)
    fill(folder)
    monkeypatch.chdir(folder)
    model = "pretrained/mnist_mlp"
    words = f"--config {model}/config.yaml --ckpt_path {model}/model.safetensors --data.source fonts"
    assert "No space left on device" in refused(f"predict {words}")
