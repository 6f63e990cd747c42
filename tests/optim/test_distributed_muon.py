from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn, optim

from optim.distributed_muon import DistributedMuon, shares

SHAPES = [(6, 4), (4, 9), (5, 5), (3, 8)]
OPTIONS = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "ns_steps": 4, "adjust_lr_fn": "match_rms_adamw"}


class Sent:
    """A message on its way to nobody."""

    def wait(self) -> None:
        pass


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    weights[2].data = weights[2].data.T  # a layout of its own
    return weights


def groups(weights: list[nn.Parameter]) -> list[dict]:
    return [{"params": weights[:3]}, {"params": weights[3:], "lr": 0.05, "momentum": 0.5}]


def steps(weights: list[nn.Parameter], optimizer: optim.Optimizer, first: int, last: int) -> None:
    """The same gradients wherever they are taken; the last matrix has none in the first step."""
    for step in range(first, last):
        for number, weight in enumerate(weights):
            generator = torch.Generator().manual_seed(100 * step + number)
            gradient = torch.randn(weight.shape, generator=generator)
            weight.grad = None if step == 0 and number == len(weights) - 1 else gradient
        optimizer.step()


def kept(weights: list[nn.Parameter], optimizer: optim.Optimizer) -> dict:
    return {"weights": [weight.detach() for weight in weights], "state": optimizer.state_dict()}


def _process(rank: int, folder: str, processes: int, begin: dict | None) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting-{begin is None}", rank=rank, world_size=processes)
    weights = matrices()
    optimizer = DistributedMuon(groups(weights), **OPTIONS)
    resume(weights, optimizer, begin)
    steps(weights, optimizer, 0 if begin is None else 2, 2 if begin is None else 5)
    torch.save(kept(weights, optimizer), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def resume(weights: list[nn.Parameter], optimizer: optim.Optimizer, begin: dict | None) -> None:
    if begin is not None:
        with torch.no_grad():
            for weight, value in zip(weights, begin["weights"], strict=True):
                weight.copy_(value)
        optimizer.load_state_dict(begin["state"])


def together(folder: Path, processes: int, begin: dict | None = None) -> list[dict]:
    """What each process has after two steps from the start, or three more from there."""
    mp.start_processes(_process, (str(folder), processes, begin), nprocs=processes, start_method="fork")
    return [torch.load(folder / f"{rank}.pt") for rank in range(processes)]


def torchs(first: int = 0, last: int = 2, begin: dict | None = None) -> dict:
    weights = matrices()
    optimizer = optim.Muon(groups(weights), **OPTIONS)
    resume(weights, optimizer, begin)
    steps(weights, optimizer, first, last)
    return kept(weights, optimizer)


def assert_equal(found: dict, expected: dict) -> None:
    """Weights and state, to the bit."""
    torch.testing.assert_close(found["weights"], expected["weights"], rtol=0, atol=0)
    torch.testing.assert_close(found["state"]["state"], expected["state"]["state"], rtol=0, atol=0)
    assert found["state"]["param_groups"] == expected["state"]["param_groups"]


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_each_process_has_the_weights_and_the_state_of_torchs_muon(processes, tmp_path):
    """On more processes than matrices, too."""
    expected = torchs()
    for found in together(tmp_path, processes):
        assert_equal(found, expected)


def test_a_checkpoint_of_two_processes_goes_on_in_one_and_of_one_in_two(tmp_path):
    whole = torchs(0, 5)
    assert_equal(torchs(2, 5, together(tmp_path, 2)[1]), whole)
    for found in together(tmp_path, 2, torchs()):
        assert_equal(found, whole)


def test_alone_it_is_torchs_muon():
    weights = matrices()
    optimizer = DistributedMuon(groups(weights), **OPTIONS)
    steps(weights, optimizer, 0, 2)
    assert_equal(kept(weights, optimizer), torchs())


def test_each_process_orthogonalises_its_own_part_alone(monkeypatch):
    """A process of a run of two, whose other one sends nothing: only its own part moves."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)

    monkeypatch.setattr(dist, "broadcast", lambda *args, **options: Sent())
    moved = []
    for rank in range(2):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        weights = matrices()
        steps(weights, DistributedMuon(groups(weights), **OPTIONS), 1, 2)
        pairs = zip(weights, matrices(), strict=True)
        moved.append([number for number, (one, other) in enumerate(pairs) if not torch.equal(one, other)])
    assert all(moved)
    assert sorted(moved[0] + moved[1]) == list(range(len(SHAPES)))


def test_parts_take_about_as_long_as_each_other():
    big, middle, small = torch.zeros(8, 32), torch.zeros(8, 16), torch.zeros(4, 16)
    parts = shares([small, middle, big, middle.clone()], 2)
    assert [[tuple(matrix.shape) for matrix in part] for part in parts] == [[(8, 32), (4, 16)], [(8, 16), (8, 16)]]
    assert [len(part) for part in shares([big], 3)] == [1, 0, 0]


def test_a_closure_comes_before_the_step(monkeypatch):
    def closure():
        assert torch.is_grad_enabled()
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        return "loss"

    for shared in (False, True):
        monkeypatch.setattr(dist, "is_initialized", lambda shared=shared: shared)
        monkeypatch.setattr(dist, "get_world_size", lambda: 1)
        monkeypatch.setattr(dist, "get_rank", lambda: 0)
        monkeypatch.setattr(dist, "broadcast", lambda *args, **options: Sent())
        weights = matrices()
        assert DistributedMuon(weights).step(closure) == "loss"
        assert not torch.equal(weights[0], matrices()[0])
