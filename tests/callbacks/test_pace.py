import math
from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import Timer

from callbacks import pace


def trainer(batches=10, epochs=4, steps=-1, done=0, step=0, callbacks=()):
    """What is asked of a trainer that has seen `done` batches and taken `step` steps."""
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=done - 1))
    return SimpleNamespace(
        max_epochs=epochs,
        max_steps=steps,
        num_training_batches=batches,
        global_step=step,
        fit_loop=loop,
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({"done": 0}, 0.0),
        ({"done": 10}, 0.25),
        ({"done": 40}, 1.0),
        ({"done": 10, "steps": 20, "step": 10}, 0.5),  # the steps end it first
        ({"epochs": -1, "steps": 20, "step": 5, "done": 5}, 0.25),
        ({"epochs": -1, "done": 7}, 0.0),  # without an end
        ({"epochs": None, "done": 7}, 0.0),
        ({"batches": math.inf, "done": 7}, 0.0),
        ({"batches": math.inf, "steps": 10, "step": 20}, 1.0),
    ],
)
def test_the_share_that_is_done(given, share):
    assert pace.done(trainer(**given)) == share


def test_time_that_is_used_up_counts(monkeypatch):
    timer = Timer(duration={"seconds": 100})
    monkeypatch.setattr(timer, "time_elapsed", lambda stage="train": 60.0)
    assert pace.done(trainer(done=10, callbacks=[timer])) == pytest.approx(0.6)


def test_what_is_left_follows_from_what_was_done_since(monkeypatch):
    """A quarter was done before, another one took 30 seconds: half of it is left, 60 seconds."""
    now = 100.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now)
    running = trainer(done=10)
    measured = pace.Pace(running)
    assert measured.seconds_left() is None
    now = 130.0
    running.fit_loop.epoch_loop.total_batch_idx = 19
    assert measured.seconds_left() == pytest.approx(60)


def test_durations_in_words():
    words = {0: "less than a minute", 59: "less than a minute", 60: "about 1 minute", 150: "about 2 minutes"}
    assert {seconds: pace.in_words(seconds) for seconds in words} == words
    assert pace.in_words(6000) == "about 1.7 hours"
