"""Alone, nothing is weighed; over two processes see tests/test_several_processes.py."""

from types import SimpleNamespace

import pytest
import torch

from lightning_modules import unequal_counts


def module(mean: float):
    """With a strategy whose mean over all processes is this."""
    strategy = SimpleNamespace(reduce=lambda count: torch.full_like(count, mean))
    return SimpleNamespace(trainer=SimpleNamespace(strategy=strategy))


@pytest.mark.parametrize("counts", [(7, 7), (3, 9), (1, 100, 40)])
def test_the_mean_of_weighed_means_is_the_mean_of_all(counts):
    terms = [torch.rand(count, generator=torch.Generator().manual_seed(count)) for count in counts]
    mean = sum(counts) / len(counts)
    weighed = [unequal_counts.weight(module(mean), torch.tensor(len(part))) * part.mean() for part in terms]
    assert torch.stack(weighed).mean().item() == pytest.approx(torch.cat(terms).mean().item(), rel=1e-6)


def test_alone_the_weight_is_one():
    assert unequal_counts.weight(module(13), torch.tensor(13)).item() == 1


def test_counts_are_left_as_they_are():
    """Strategies reduce in place."""
    count = torch.tensor(5.0)
    strategy = SimpleNamespace(reduce=lambda value: value.mul_(2))
    assert unequal_counts.weight(SimpleNamespace(trainer=SimpleNamespace(strategy=strategy)), count).item() == 0.5
    assert count.item() == 5
