import pytest
import torch

from datamodules.channel_statistics import channel_statistics


def test_statistics_of_a_large_set_and_of_a_constant_channel():
    images = torch.randint(256, (5000, 2, 3, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[:, 1] = 51
    mean, std = channel_statistics(images)
    torch.testing.assert_close(mean, torch.stack([images[:, 0].double().mean() / 255, torch.tensor(0.2)]).float())
    torch.testing.assert_close(std, torch.tensor([images[:, 0].double().std(correction=0) / 255, 1 / 255]).float())


def test_no_images_are_named():
    with pytest.raises(ValueError, match="no images to measure"):
        channel_statistics(torch.zeros(0, 3, 8, 8, dtype=torch.uint8))
