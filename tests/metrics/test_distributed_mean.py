"""Alone, nothing is weighed; over two processes see tests/test_several_processes.py."""

from types import SimpleNamespace

import pytest
import torch

from metrics.distributed_mean import StepMean
from tests.lightning_modules.every_module import KINDS, Rows, trainer


def module(mean: float, batches: int = 1):
    """With a strategy whose mean over all processes is this."""
    strategy = SimpleNamespace(reduce=lambda count: torch.full_like(count, mean))
    return SimpleNamespace(trainer=SimpleNamespace(strategy=strategy, accumulate_grad_batches=batches))


@pytest.mark.parametrize("counts", [(7, 7), (3, 9), (1, 100, 40)])
def test_the_mean_of_weighed_means_is_the_mean_of_all(counts):
    terms = [torch.rand(count, generator=torch.Generator().manual_seed(count)) for count in counts]
    mean = sum(counts) / len(counts)
    weighed = [StepMean().weight(module(mean), torch.tensor(len(part))) * part.mean() for part in terms]
    assert torch.stack(weighed).mean().item() == pytest.approx(torch.cat(terms).mean().item(), rel=1e-6)


def test_alone_the_weight_is_one():
    assert StepMean().weight(module(13), torch.tensor(13)).item() == 1


def test_counts_are_left_as_they_are():
    """Strategies reduce in place."""
    count = torch.tensor(5.0)
    strategy = SimpleNamespace(reduce=lambda value: value.mul_(2))
    assert StepMean().weight(SimpleNamespace(trainer=SimpleNamespace(strategy=strategy)), count).item() == 0.5
    assert count.item() == 5


def test_counts_are_exact_in_a_training_in_bfloat16(monkeypatch):
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.bfloat16)
    assert StepMean().weight(module(257), torch.tensor(257)).item() == 1


def two_kinds(name: str) -> Rows:
    """Eight rows with few terms, then eight with many."""
    data = KINDS[name].data(0)
    counts = [int((~row["action_is_pad"] if name == "policy" else row["target_mask"]).sum()) for row in data.rows]
    order = sorted(range(len(counts)), key=counts.__getitem__)
    data.rows = [data.rows[i] for i in order[:8] + order[-8:]]
    return data


def gradient(name: str, size: int, batches: int, rows: slice = slice(None)) -> torch.Tensor:
    """What the last optimizer step of an epoch goes by, with the same noise for each row however rows are batched."""
    kind, data = KINDS[name], two_kinds(name)
    data.rows = data.rows[rows]
    data.train_dataloader = lambda: torch.utils.data.DataLoader(data.rows, size)
    model = kind.made(lr=0.0, **({"noise_levels_per_sample": 1} if name == "policy" else {}))
    with torch.no_grad():
        for weight in model.parameters():  # nothing starts at zero
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    if name == "policy":
        seed = torch.Generator().manual_seed(0)
        noise, steps = torch.randn(16, 16, 2, generator=seed), torch.randint(100, (16,), generator=seed)
        model.measured.set()
        starts = iter(range(0, 16, size))
        loss = model._loss

        def drawn(batch, *rest):
            start = next(starts)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch, "randn", lambda *_, **__: noise[start : start + size, None])
                patch.setattr(torch, "randint", lambda *_, **__: steps[start : start + size, None])
                return loss(batch, *rest)

        model._loss = drawn
    trainer(accumulate_grad_batches=batches, limit_val_batches=0).fit(model, data)
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("name", ["seq2seq", "language_model", "tagger", "policy"])
def test_batches_that_share_a_step_are_as_one(name):
    whole, shared = gradient(name, 16, 1), gradient(name, 8, 2)
    assert (shared - whole).norm() < 1e-5 * whole.norm()


def test_so_are_three_and_what_is_left_of_an_epoch():
    """Four batches of 4, three a step: the second step is by the last batch alone."""
    shared = gradient("tagger", 4, 3)
    alone = gradient("tagger", 4, 1, slice(12, None))
    assert (shared - alone).norm() < 1e-5 * alone.norm()
