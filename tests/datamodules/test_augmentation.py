"""Batched augmentations against one image at a time, by torchvision or by slow and obvious code."""

import re

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from datamodules import augmentation
from datamodules.augmentation import (
    AlternatingFlip,
    Augmentation,
    Cutout,
    HorizontalFlip,
    Shift,
    Warp,
    check,
    resample,
    sampling_places,
)
from datamodules.mnist import MNIST
from tests.datamodules.one_device import copies


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(n=64, shape=(3, 9, 12), dtype=torch.uint8):
    images = torch.randint(
        1, 256, (n, *shape), generator=seeded(), dtype=torch.uint8
    )  # 0 is what comes in at the sides
    return images if dtype == torch.uint8 else images.to(dtype) / 255


ALL = [
    Shift(2),
    Shift(3, "edge"),
    Shift(3, "reflect"),
    HorizontalFlip(),
    Cutout(4),
    Warp(10, 0.1, 5, 2, 0.5),
    Warp(10, 0.1, 5, 2, 0.5, fill="reflect"),
]


@pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_same_shape_and_dtype_another_image_the_same_draw(augment, dtype):
    images = random_images(dtype=dtype)
    before = images.clone()
    first, again, other = (augment(images, generator=seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == images.shape
    assert first.dtype == dtype
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("augment", [*ALL, AlternatingFlip()], ids=lambda augment: type(augment).__name__)
def test_all_of_it_is_done_where_the_images_are(augment):
    images, index = random_images().to("meta"), torch.arange(64, device="meta")
    with copies() as noted:
        changed = augment(images, index, 1)
    assert not noted
    assert (changed.device, changed.shape, changed.dtype) == (images.device, images.shape, images.dtype)


@pytest.mark.parametrize(("fill", "mode"), [("zeros", "constant"), ("edge", "edge"), ("reflect", "reflect")])
def test_a_shift_is_a_crop_of_the_padded_image(fill, mode):
    images = random_images(200)
    shifted = Shift(2, fill)(images, generator=seeded())
    padded = functional.pad(images, [2, 2, 2, 2], padding_mode=mode)
    seen = set()
    for number, image in enumerate(shifted):
        crops = {
            (top, left): padded[number, :, top : top + 9, left : left + 12] for top in range(5) for left in range(5)
        }
        (place,) = [place for place, crop in crops.items() if torch.equal(crop, image)]
        seen.add(place)
    assert len(seen) == 25


def test_a_flip_mirrors_half_of_the_random_images():
    images = random_images(400)
    flipped = HorizontalFlip()(images, generator=seeded())
    mirrored = torch.tensor([torch.equal(a, functional.hflip(b)) for a, b in zip(flipped, images, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert torch.equal(mirrored, ~kept)
    assert 150 < mirrored.sum() < 250


def test_an_alternating_flip_changes_sides_every_epoch():
    images, index = random_images(400), torch.arange(1000, 1400)
    first, second, third = (AlternatingFlip()(images, index, epoch) for epoch in range(3))
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(third, first)
    mirrored = (first != images).flatten(1).any(1)
    assert 150 < mirrored.sum() < 250
    order = torch.randperm(400, generator=seeded())  # an image's side does not depend on its batch
    assert torch.equal(AlternatingFlip()(images[order], index[order], 0), first[order])
    with pytest.raises(ValueError, match="index="):
        AlternatingFlip()(images)


def test_cutout_covers_one_square():
    images = random_images(300)
    images[:, :, 0, 0] = 1  # the mean is no colour that an image has everywhere
    mean = images.double().mean((0, 2, 3)).to(torch.uint8)
    covered = (Cutout(4)(images, generator=seeded()) == mean[:, None, None]).all(1) & (
        images != mean[:, None, None]
    ).any(1)
    changed = (Cutout(4)(images, generator=seeded()) != images).any(1)
    assert torch.equal(covered, changed)
    rows, columns = set(), set()
    for mask in changed:
        down, across = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        assert len(down) == len(across) == 4
        assert mask.sum() == 16
        rows.add(int(down[0]))
        columns.add(int(across[0]))
    assert rows == set(range(6))
    assert columns == set(range(9))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_affine_part_is_torchvisions(dtype):
    images = random_images(20, (2, 15, 11), dtype)
    draw = 2 * torch.rand(5, 20, generator=seeded()) - 1
    angle, scale, shear, shift = 30 * draw[0], 1 + 0.3 * draw[1], 20 * draw[2], (4 * draw[3:]).T.round()
    ours = resample(images, sampling_places((15, 11), angle, scale, shear, shift))
    for number in range(20):
        theirs = functional.affine(
            images[number],
            angle=float(angle[number]),
            translate=[float(t) for t in shift[number]],
            scale=float(scale[number]),
            shear=[float(shear[number]), 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        tolerance = 1 if dtype == torch.uint8 else 1e-4  # rounding may go either way
        torch.testing.assert_close(ours[number], theirs, atol=tolerance, rtol=0)


def test_a_warp_of_nothing_changes_nothing():
    images = random_images()
    assert torch.equal(Warp()(images), images)


def test_a_warp_stays_within_its_bounds(monkeypatch):
    seen = {}
    real = augmentation.sampling_places

    def watch(size, angle, scale, shear, shift):
        seen.update(angle=angle, scale=scale, shear=shear, shift=shift)
        return real(size, angle, scale, shear, shift)

    monkeypatch.setattr(augmentation, "sampling_places", watch)
    Warp(10, 0.2, 5, 3)(random_images(2000, (1, 4, 4)), generator=seeded())
    for name, low, high in [("angle", -10, 10), ("scale", 0.8, 1.2), ("shear", -5, 5), ("shift", -3, 3)]:
        reach = (high - low) / 100
        assert low <= seen[name].min() < low + reach
        assert high - reach < seen[name].max() <= high


def test_the_bending_field_is_bicubic_between_its_nodes():
    nodes = torch.randn(3, 2, 4, 4, generator=seeded())
    ours = augmentation.smooth_field(nodes, (28, 20))
    theirs = torch.nn.functional.interpolate(nodes, (28, 20), mode="bicubic", align_corners=True)
    torch.testing.assert_close(ours, theirs.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours[:, 0, 0], nodes[:, :, 0, 0])


def test_bending_moves_pixels_by_its_std():
    ramp = torch.arange(28.0).expand(1000, 1, 28, 28).contiguous()  # an image that tells where it was read
    read = Warp(bend=0.5)(ramp, generator=seeded())[:, 0, 14, 14]
    weights = augmentation.smooth_field(torch.eye(16).view(16, 1, 4, 4).repeat(1, 2, 1, 1), (28, 28))[:, 14, 14, 0]
    assert float(read.std()) == pytest.approx(0.5 * float(weights.norm()), rel=0.1)


class Darker(Augmentation):
    """One of a user's own."""

    def apply(self, images, index, epoch, generator):
        return images // 2


def test_a_config_names_augmentations_by_their_classes():
    """Ours by their bare names, others by their full ones."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MNIST, "data")
    parser.add_argument("--config", action="config")
    config = {
        "source": "fonts",
        "augment": [
            "HorizontalFlip",
            {"class_path": "Shift", "init_args": {"pixels": 3, "fill": "edge"}},
            {"class_path": "datamodules.augmentation.Warp", "init_args": {"rotate": 10}},
            {"class_path": f"{__name__}.Darker"},
        ],
    }
    data = parser.instantiate(parser.parse_object({"data": config})).data
    flip, shift, warp, darker = data.augment
    assert type(flip) is HorizontalFlip
    assert (type(shift), shift.pixels, shift.fill) == (Shift, 3, "edge")
    assert (type(warp), warp.rotate, warp.fill) == (Warp, 10, "zeros")
    assert type(darker) is Darker
    assert "augment" not in data.hparams  # a checkpoint holds plain values
    images = torch.full((2, 1, 28, 28), 200, dtype=torch.uint8)
    batch = {"image": images, "label": torch.arange(2), "index": torch.arange(2)}
    data.augment = [darker]
    assert torch.equal(data.augmented(batch, 0)["image"], images // 2)


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ({"class_path": "Blur"}, "Blur"),
        ({"class_path": "Warp", "init_args": {"angle": 1}}, "angle"),
        ({"class_path": "Shift"}, "pixels"),
        ({"class_path": "HorizontalFlip", "init_args": {"share": 1}}, "share"),
        ({"class_path": "Shift", "init_args": {"pixels": 1, "fill": "white"}}, "zeros.*edge.*reflect"),
        ({"class_path": "Cutout", "init_args": {"size": "large"}}, "large"),
    ],
    ids=str,
)
def test_mistakes_in_a_config_are_named(augment, words):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MNIST, "data")
    with pytest.raises(ArgumentError, match=rf"(?s){words}"):
        parser.parse_object({"data": {"augment": [augment]}})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Shift(-1), "pixels=-1"),
        (lambda: Shift(1, "white"), "'white' is unknown; use one of zeros, edge, reflect"),
        (lambda: Warp(fill="white"), "'white' is unknown; use one of zeros, edge, reflect"),
        (lambda: Warp(scale=1.5), "scale=1.5"),
        (lambda: Warp(nodes=1), "nodes=1"),
        (lambda: Cutout("large"), "'large'"),
        (lambda: check([{"shift": 2}], (1, 8, 8)), r"augment holds \{'shift': 2\}; it must be a list of augmentations"),
        (lambda: check({"shift": 2}, (1, 8, 8)), "augment holds 'shift'; it must be a list of augmentations"),
        (lambda: check([Shift(8)], (1, 8, 9)), "Shift: pixels=8 leaves nothing of images of 8 x 9"),
        (lambda: Cutout(10)(random_images()), "Cutout: size=10 leaves nothing of images of 9 x 12"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("kind", "argument", "good", "bad"),
    [
        (Shift, "pixels", [0, 1, 8], [-1, 9, 2**62, 2**100, 1.5, True, float("nan")]),
        (Cutout, "size", [0, 1, 8], [-1, 9, 2**62, 2**100, 1.5, True, float("nan")]),
        (Warp, "rotate", [0, 1, 360], [-1, 361, 2**100, float("nan"), float("inf"), "far"]),
        (Warp, "scale", [0, 0.5], [-1, 1, 2**100, float("nan"), float("inf")]),
        (Warp, "shear", [0, 1, 89], [-1, 90, 2**100, float("nan"), float("inf")]),
        (Warp, "shift", [0, 1, 8.9], [-1, 9, 2**100, float("nan"), float("inf")]),
        (Warp, "bend", [0, 1, 8.9], [-1, 9, 2**100, float("nan"), float("inf")]),
        (Warp, "nodes", [2, 12], [-1, 0, 1, 13, 2**62, 2.5, float("nan")]),
    ],
)
@pytest.mark.parametrize("fill", ["zeros", "edge", "reflect"])
def test_numbers_at_their_edges(kind, argument, good, bad, fill):
    """What leaves something of the images (9 x 12) works; all else is refused when it is built or checked."""
    other = {"fill": fill} if kind is not Cutout else {}
    other |= {"bend": 1} if argument == "nodes" else {}
    for value in good:
        augment = kind(**other | {argument: value})
        check([augment], (3, 9, 12))
        changed = augment(random_images(), generator=seeded())
        assert changed.shape == random_images().shape
        assert changed.flatten(1).float().std(1).min() > 1  # no image of one colour
    for value in bad:
        with pytest.raises(ValueError, match=f"{argument}={re.escape(repr(value))}"):
            check([kind(**other | {argument: value})], (3, 9, 12))


def test_checking_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    check([Shift(2), HorizontalFlip(), AlternatingFlip(), Cutout(4), Warp(bend=1)], (3, 9, 12))
    assert torch.equal(torch.get_rng_state(), before)
