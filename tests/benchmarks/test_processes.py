import json
from types import SimpleNamespace

import pytest
import torch
from torch import optim

from benchmarks import processes
from benchmarks.processes import PARTS, PartClock, Run


def test_every_moment_of_a_step_belongs_to_one_part(monkeypatch, tmp_path):
    """Batches take 1 second, losses 2, gradients 3, optimizers 4, twice as much CPU time."""
    clock = [0.0]
    monkeypatch.setattr(processes, "now", lambda: (clock[0], 2 * clock[0]))
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)])
    trainer = SimpleNamespace(optimizers=[optimizer], limit_train_batches=3)
    callback = PartClock(str(tmp_path), rank=1)
    callback.on_train_start(trainer, None)

    def after(seconds, hook, *given):
        clock[0] += seconds
        hook(*given)

    for number in range(2):
        after(1, callback.on_train_batch_start, trainer, None, {}, number)
        after(2, callback.on_before_backward, trainer, None, torch.zeros(()))
        after(3, callback.on_after_backward, trainer, None)
        after(4, optimizer.step)
    with pytest.raises(SystemExit):
        after(1, callback.on_train_batch_start, trainer, None, {}, 2)
    times = json.loads((tmp_path / "1.json").read_text())
    assert {part: rows[1:] for part, rows in times.items()} == {
        "batch": [[1, 2]] * 2,
        "forward": [[2, 4]] * 2,
        "backward": [[3, 6]] * 2,
        "optimizer": [[4, 8]] * 2,
    }


def test_ratios_are_of_one_round():
    def run(seconds):
        return Run(dict.fromkeys(PARTS, seconds / 4), dict.fromkeys(PARTS, seconds / 8))

    one, both = [run(1.0), run(2.0), run(4.0)], [run(0.5), run(2.0), run(2.5)]
    assert processes.cells(both, one) == ["2000", "1.60\n1.00 to 2.00", "500", "500", "500", "500", "1000"]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_two_processes_are_timed(shared):
    run = processes.timed("mnist_mlp", 20, 2, shared, steps=2, warm_up=1)
    assert min(run.clock.values()) > 0
    assert run.cpu_seconds > 0
