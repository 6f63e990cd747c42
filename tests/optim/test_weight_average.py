import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from optim.weight_average import WeightAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def walk(model: nn.Module, *averages: AveragedModel, steps: int = 5) -> None:
    for _ in range(steps):
        with torch.no_grad():
            for weight in model.parameters():
                weight += torch.randn(weight.shape)
        model(torch.randn(8, 3))  # changes the statistics of batch norm
        for average in averages:
            average.update_parameters(model)


def equal(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 1.0])
def test_it_is_torchs_own(decay):
    """Weights, copied statistics, and the number of updates, under the same names."""
    model = network()
    ours = WeightAverage(model, lambda updates: decay)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=False)
    walk(model, ours, theirs)
    equal(ours, theirs)


def test_statistics_are_averaged_where_asked_for_and_counters_copied():
    model = network()
    average = WeightAverage(model, lambda updates: 0.75, use_buffers=True)
    walk(model, average, steps=1)
    before = model[1].running_mean.clone()
    walk(model, average, steps=1)
    torch.testing.assert_close(average.module[1].running_mean, 0.75 * before + 0.25 * model[1].running_mean)
    assert average.module[1].num_batches_tracked == model[1].num_batches_tracked == 2


def test_the_decay_is_told_how_many_updates_there_were_also_after_loading():
    seen = []
    model = network()
    first = WeightAverage(model, lambda updates: seen.append(updates) or 0.5)
    walk(model, first, steps=3)
    second = WeightAverage(network(), first.decay)
    second.load_state_dict(first.state_dict())
    walk(model, first, second, steps=2)
    assert seen == [1, 2, 3, 3, 4, 4]
    equal(first, second)


def test_a_copy_counts_as_no_update():
    model = network()
    average = WeightAverage(model, lambda updates: 0.5)
    walk(model)
    average.copy(model)
    equal(average.module, model)
    assert average.updates == average.n_averaged == 0
