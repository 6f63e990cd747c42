import lightning as L
import pytest
import torch
from torch import nn

from callbacks.best_checkpoint import BestCheckpoint
from datamodules.stateful_loader import StatefulLoader

SCORES = [0.5, 0.9, 0.3, 0.7, 0.1]  # of five validations


class Scored(L.LightningModule):
    """Its only weight counts its steps; a validation gives the next of `SCORES`."""

    def __init__(self):
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(1))
        self.scores = iter(SCORES)

    def training_step(self, batch, batch_idx):
        return -self.steps.sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/score", next(self.scores))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1.0)


def run(folder, *, epochs=5, fit=None, **options):
    """Two steps an epoch, then a validation; returns the steps behind each file."""
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[BestCheckpoint(dirpath=folder, **options)],
        max_epochs=epochs,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **(fit or {}),
    )
    loaders = [StatefulLoader(torch.zeros(2)), StatefulLoader(torch.zeros(1))]
    trainer.fit(Scored(), *loaders)
    return {
        path.name: int(torch.load(path, weights_only=True)["state_dict"]["steps"]) for path in sorted(folder.iterdir())
    }


@pytest.mark.parametrize(("mode", "steps"), [("max", 4), ("min", 10)])
def test_one_file_is_the_best(mode, steps, tmp_path):
    assert run(tmp_path, monitor="val/score", mode=mode) == {"best.ckpt": steps}


def test_several_are_named_by_their_metric_and_the_best_is_marked(tmp_path):
    assert run(tmp_path, monitor="val/score", mode="max", save_top_k=3) == {
        "best.ckpt": 4,
        "epoch=0-step=2-val_score=0.5000.ckpt": 2,
        "epoch=1-step=4-val_score=0.9000.ckpt": 4,
        "epoch=3-step=8-val_score=0.7000.ckpt": 8,
    }


@pytest.mark.parametrize("save_top_k", [2, -1])
def test_the_best_is_marked_while_all_get_better(save_top_k, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.callbacks.test_best_checkpoint.SCORES", sorted(SCORES))
    found = run(tmp_path, monitor="val/score", mode="max", save_top_k=save_top_k)
    assert found["best.ckpt"] == 10
    assert len(found) == 1 + (5 if save_top_k == -1 else 2)


def test_a_name_of_ones_own(tmp_path):
    found = run(tmp_path, monitor="val/score", mode="max", filename="{epoch}")
    assert found == {"best.ckpt": 4, "epoch=1.ckpt": 4}


def test_on_a_disk_without_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    assert run(tmp_path, monitor="val/score", mode="max", save_top_k=3)["best.ckpt"] == 4


def test_without_a_monitor_none_is_called_best(tmp_path):
    assert run(tmp_path) == {}
    assert run(tmp_path, every_n_train_steps=3) == {"epoch=4-step=9.ckpt": 9}  # the newest


def test_a_metric_is_of_the_weights_that_it_stands_beside(tmp_path, capsys):
    """`max_steps` breaks the second epoch off, before its validation."""
    kept = run(tmp_path, monitor="val/score", mode="max", save_top_k=3, fit={"max_steps": 3})
    assert kept == {"best.ckpt": 2, "epoch=0-step=2-val_score=0.5000.ckpt": 2}


def test_a_run_without_a_validation_says_that_none_is_best(tmp_path, capsys):
    assert run(tmp_path, epochs=2, monitor="val/score", fit={"check_val_every_n_epoch": 5}) == {}
    said = capsys.readouterr().err
    assert "no best.ckpt: val/score was not measured in these 4 steps (check_val_every_n_epoch=5" in said
