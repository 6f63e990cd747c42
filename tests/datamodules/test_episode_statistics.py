import pytest
import torch

from datamodules.episode_statistics import action_scale, statistics


def test_mean_and_deviation_are_torchs():
    values = torch.randn(100, 3) * torch.tensor([1.0, 50.0, 1e-3]) + torch.tensor([0.0, 1e4, 2.0])
    mean, std = statistics(values)
    torch.testing.assert_close(mean, values.double().mean(0).float())
    torch.testing.assert_close(std, values.double().std(0, correction=0).float())


def test_what_never_changes_has_a_deviation_of_1():
    assert statistics(torch.full((10, 2), 0.1)).std.tolist() == [1, 1]
    assert statistics(torch.zeros(1, 2)).std.tolist() == [1, 1]


def test_no_windows_are_refused():
    with pytest.raises(ValueError, match="no windows to measure"):
        action_scale([], lambda observation: 0)
