"""Batches do not depend on where the data lie (`datamodules.device_resident`)."""

import contextlib

import lightning as L
import pytest
import torch

import train
from tests.gpu.device import FLAGS, ON_A_GPU
from tests.runs import words_of

pytestmark = ON_A_GPU


class Batches(L.Callback):
    """Writes the batches that a run trains on, and the devices they are on before the module sees them."""

    def __init__(self, out: str):
        self.out, self.batches = out, []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches.append({name: tensor.detach().cpu().clone() for name, tensor in batch.items()})

    def on_train_end(self, trainer, module):
        torch.save(self.batches, self.out)


@pytest.mark.parametrize("config", ["mnist_mlp", "pusht", "sorting_encoder_decoder"])
def test_batches_do_not_depend_on_where_the_data_lie(config, tmp_path):
    seen = []
    for place in ("true", "false"):
        out = tmp_path / f"{place}.pt"
        watch = ["--trainer.callbacks+=tests.gpu.test_placement.Batches", f"--trainer.callbacks.out={out}"]
        with contextlib.chdir(tmp_path):
            train.main(words_of(config, *FLAGS, *watch, "--data.on_device", place, "--run", place))
        seen.append(torch.load(out))
    assert len(seen[0]) == len(seen[1]) == 8
    for ours, theirs in zip(*seen, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
