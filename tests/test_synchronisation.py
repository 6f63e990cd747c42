"""In a training step the host never waits for an accelerator, except where metrics are logged."""

import shlex
from collections import Counter

import pytest

import train
from tests.families import FAMILIES
from tests.synchronisation import Synchronising, as_on_an_accelerator
from tests.test_train import ROOT

EVERY = 4  # batches, the logging interval
BATCHES = 6
pytestmark = pytest.mark.usefixtures("offline")
QUICK = ("cifar10_fast", "pig_latin_decoder", "svhn_gan", "pusht")
DRAWN = "pusht_image"  # its images are drawn on the CPU, in every step
WATCHED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name != DRAWN]


def waits(name: str) -> list[tuple[int, str]]:
    options = (
        f"--trainer.max_steps {BATCHES * (2 if 'gan' in name else 1)} --trainer.log_every_n_steps {EVERY} "
        "--trainer.limit_val_batches 0 --checkpoint.monitor null --checkpoint.mode min "
        "--trainer.callbacks+ '{class_path: tests.synchronisation.Synchronising}'"
    )
    words = [*FAMILIES[name].words(), *shlex.split(options)]
    trainer = train.main(["fit", "--config", str(ROOT / f"configs/{name}.yaml"), *words]).trainer
    (watch,) = (callback for callback in trainer.callbacks if isinstance(callback, Synchronising))
    assert watch._batch == BATCHES - 1
    return watch.found


@pytest.mark.parametrize("name", WATCHED)
def test_between_two_logs_no_step_waits(name, monkeypatch):
    """From the second batch on, in our code and in Lightning's: forward, backward, optimizers, averages, callbacks."""
    as_on_an_accelerator(monkeypatch)
    found = waits(name)
    logged = {batch for batch in range(BATCHES) if (batch + 1) % EVERY == 0}
    assert logged & {batch for batch, _ in found}, "where metrics are logged they are read"
    quiet = set(range(1, BATCHES - 1)) - logged  # the first batch begins an epoch, and the last one ends the training
    assert not (waited := Counter(what for batch, what in found if batch in quiet)), waited
