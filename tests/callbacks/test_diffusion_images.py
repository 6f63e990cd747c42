"""Guidance grid, saturation, denoising strip: on a module whose samples say how they were asked for."""

from functools import partial

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.io import read_image

from callbacks.denoising_strip import DenoisingStrip
from callbacks.guidance_grid import GuidanceGrid
from callbacks.saturation import Saturation, saturated_share
from datamodules.images import ImageSet
from diffusion.noise import generators
from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding
from lightning_modules.ddpm import DDPM
from lightning_modules.gan import GAN
from networks.unet2d import UNet2D
from tests.lightning_modules.test_gan import TINY, Noise

CLASSES = ("a", "b", "c")


class Images(L.LightningDataModule):
    shape, class_names = (1, 8, 8), CLASSES

    def train_dataloader(self):
        images = ImageSet(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 3)
        return DataLoader(images, 4, collate_fn=lambda batch: batch)

    val_dataloader = train_dataloader


class Recorder(torch.nn.Module):
    """`sample` gives images of 4 x 4 pixels whose value is 10 * guidance_scale + class, at three steps."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.calls = []

    def sample(self, labels, guidance_scale=1.0, thresholding=None, generator=None, on_step=None):
        assert len(generator) == len(labels)
        seeds = tuple(one.initial_seed() for one in generator)
        self.calls.append((labels.tolist(), guidance_scale, type(thresholding), seeds))
        value = (10 * guidance_scale + labels.float())[:, None, None, None].expand(-1, 1, 4, 4)
        for number in (1, 2, 3):
            if on_step:
                on_step(number, value / 127.5 - 1 if number == 3 else torch.full_like(value, -1 + number / 2))
        if isinstance(thresholding, NoThresholding):
            value = torch.full_like(value, 255)
        return value.round().byte()


def cells(image, rows, columns, size=4, scale=2):
    """The middle pixel of every cell of a grid, which lies at the lower right of its names."""
    stride, offset = size * scale + scale, scale + size * scale // 2
    grid = image[0, -rows * stride - scale :, -columns * stride - scale :]
    return grid[offset::stride, offset::stride]


def test_guidance_grid_has_scales_below_each_other_and_classes_beside_each_other():
    module = Recorder()
    image = GuidanceGrid(scales=[3.0, 1.0]).image(module, CLASSES)
    assert cells(image, 2, 3).tolist() == [[10, 11, 12], [30, 31, 32]]
    assert {seeds for *_, seeds in module.calls} == {tuple(one.initial_seed() for one in generators(0, range(3)))}


def test_strip_ends_with_the_sample_and_begins_with_the_first_step():
    image = DenoisingStrip(classes=2, frames=2).image(Recorder(), CLASSES)
    assert cells(image, 2, 2).tolist() == [[64, 10], [64, 11]]  # (-0.5 + 1) * 127.5 = 63.75 at the first step


def test_saturation_compares_all_thresholdings_at_all_scales():
    module, shown = Recorder(), {}
    callback = Saturation(scales=[8.0, 1.0], samples=4)
    callback.figure = lambda shares, highest, columns: shown.update(shares, columns=columns)
    callback.image(module, CLASSES)
    assert shown.pop("columns") == ["a", "b", "c", "a"]
    names = ("NoThresholding", "StaticThresholding", "DynamicThresholding")
    assert shown == dict(zip(names, [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]], strict=True))
    assert [call[:3] for call in module.calls] == [
        ([0, 1, 2, 0], scale, kind)
        for kind in (NoThresholding, StaticThresholding, DynamicThresholding)
        for scale in (1.0, 8.0)
    ]


def test_saturated_share_counts_both_ends():
    images = torch.tensor([0, 1, 254, 255], dtype=torch.uint8).reshape(1, 1, 2, 2)
    assert saturated_share(images) == 0.5


@pytest.mark.parametrize("kind", [GuidanceGrid, Saturation, DenoisingStrip])
def test_images_are_shown_at_validation_and_kept(kind, fitted, tmp_path):
    torch.manual_seed(0)
    callback = kind()
    events = fitted(DDPM(partial(UNet2D, widths=[64], attention=0), [1, 8, 8], 3, sampling_steps=2), Images(), callback)
    assert [event.step for event in events.Images(f"val/{callback.name}")] == [1]
    (path,) = tmp_path.rglob(f"images/val/{callback.name}/0000001.png")
    assert read_image(str(path)).float().std() > 10


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: GuidanceGrid(scales=[-1.0]), r"scales=-1\.0"),
        (lambda: GuidanceGrid(scales=[]), r"scales=\[\]"),
        (lambda: Saturation(samples=0), "samples=0"),
        (lambda: DenoisingStrip(frames=0), "frames=0"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_module_without_guidance_is_refused(fitted):
    with pytest.raises(
        ValueError, match=r"GuidanceGrid asks a module for sample\(guidance_scale=\), which GAN does not"
    ):
        fitted(GAN(**TINY), Noise(), GuidanceGrid())
