import math

import pytest
import torch
import torchvision.transforms.v2.functional as tv

from optim.progressive_resizing import ProgressiveResizing, resized


def test_small_first_and_whole_at_the_end():
    parts, images = ProgressiveResizing(8, 0.4), torch.zeros(2, 3, 12, 12)
    assert [parts(images, step, 10).shape[-1] for step in range(10)] == [8] * 4 + [12] * 6
    assert parts(images, 9, 10) is images


def test_a_training_without_an_end_shows_whole_images():
    assert ProgressiveResizing(8, 0.4)(torch.zeros(2, 3, 12, 12), 0, math.inf).shape[-1] == 12


def test_a_share_of_nothing_shows_whole_images():
    assert ProgressiveResizing(8, 0.0)(torch.zeros(2, 3, 12, 12), 0, 10).shape[-1] == 12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resizes_as_torchvision_does(dtype):
    images = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0)).to(dtype)
    small = resized(images, 7)
    expected = tv.resize(images.float(), [7, 7], tv.InterpolationMode.BILINEAR, antialias=True).to(dtype)
    assert small.dtype == dtype
    torch.testing.assert_close(small, expected)


@pytest.mark.parametrize(
    ("options", "words"), [((0, 0.5), "size=0"), ((8, 1.0), r"share=1\.0"), ((8, -0.1), r"share=-0\.1")]
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        ProgressiveResizing(*options)
