"""Batched augmentations against one picture at a time, by torchvision or by slow and obvious code."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from datamodules import augmentation
from datamodules.augmentation import AlternatingFlip, Cutout, Flip, Shift, Warp, build, resample, sampling_places


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=64, shape=(3, 9, 12), dtype=torch.uint8):
    images = torch.randint(
        1, 256, (n, *shape), generator=seeded(), dtype=torch.uint8
    )  # 0 is what comes in at the sides
    return images if dtype == torch.uint8 else images.to(dtype) / 255


ALL = [
    Shift(2),
    Shift(3, "edge"),
    Shift(3, "reflect"),
    Flip(),
    Cutout(4),
    Warp(10, 0.1, 5, 2, 0.5),
    Warp(10, 0.1, 5, 2, 0.5, fill="reflect"),
]


@pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_same_shape_and_dtype_another_picture_the_same_draw(augment, dtype):
    images = pictures(dtype=dtype)
    before = images.clone()
    first, again, other = (augment(images, generator=seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == images.shape
    assert first.dtype == dtype
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize(("fill", "mode"), [("zeros", "constant"), ("edge", "edge"), ("reflect", "reflect")])
def test_a_shift_is_a_crop_of_the_padded_picture(fill, mode):
    images = pictures(200)
    shifted = Shift(2, fill)(images, generator=seeded())
    padded = functional.pad(images, [2, 2, 2, 2], padding_mode=mode)
    seen = set()
    for number, picture in enumerate(shifted):
        crops = {
            (top, left): padded[number, :, top : top + 9, left : left + 12] for top in range(5) for left in range(5)
        }
        (place,) = [place for place, crop in crops.items() if torch.equal(crop, picture)]
        seen.add(place)
    assert len(seen) == 25


def test_a_flip_mirrors_half_of_the_pictures():
    images = pictures(400)
    flipped = Flip()(images, generator=seeded())
    mirrored = torch.tensor([torch.equal(a, functional.hflip(b)) for a, b in zip(flipped, images, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert torch.equal(mirrored, ~kept)
    assert 150 < mirrored.sum() < 250


def test_an_alternating_flip_changes_sides_every_epoch():
    images, index = pictures(400), torch.arange(1000, 1400)
    first, second, third = (AlternatingFlip()(images, index, epoch) for epoch in range(3))
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(third, first)
    mirrored = (first != images).flatten(1).any(1)
    assert 150 < mirrored.sum() < 250
    order = torch.randperm(400, generator=seeded())  # a picture's side does not depend on its batch
    assert torch.equal(AlternatingFlip()(images[order], index[order], 0), first[order])
    with pytest.raises(ValueError, match="index="):
        AlternatingFlip()(images)


def test_cutout_covers_one_square():
    images = pictures(300)
    images[:, :, 0, 0] = 1  # the mean is no colour that a picture has everywhere
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
    images = pictures(20, (2, 15, 11), dtype)
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
    images = pictures()
    assert torch.equal(Warp()(images), images)


def test_a_warp_stays_within_its_bounds(monkeypatch):
    seen = {}
    real = augmentation.sampling_places

    def watch(size, angle, scale, shear, shift):
        seen.update(angle=angle, scale=scale, shear=shear, shift=shift)
        return real(size, angle, scale, shear, shift)

    monkeypatch.setattr(augmentation, "sampling_places", watch)
    Warp(10, 0.2, 5, 3)(pictures(2000, (1, 4, 4)), generator=seeded())
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


def test_bending_moves_pixels_by_its_deviation():
    ramp = torch.arange(28.0).expand(1000, 1, 28, 28).contiguous()  # a picture that tells where it was read
    read = Warp(bend=0.5)(ramp, generator=seeded())[:, 0, 14, 14]
    weights = augmentation.smooth_field(torch.eye(16).view(16, 1, 4, 4).repeat(1, 2, 1, 1), (28, 28))[:, 14, 14, 0]
    assert float(read.std()) == pytest.approx(0.5 * float(weights.norm()), rel=0.1)


def test_plain_values_name_augmentations():
    shift, flip, warp = build({"shift": 3, "flip": None, "warp": {"rotate": 10, "fill": "edge"}})
    assert (type(shift), shift.pixels) == (Shift, 3)
    assert type(flip) is Flip
    assert (warp.rotate, warp.padding_mode) == (10, "border")
    assert build({}) == []


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"blur": 1}, "'blur' is unknown; use some of shift, flip, alternating_flip, cutout, warp"),
        ({"warp": {"angle": 1}}, "no argument angle; it has rotate, scale"),
        ({"shift": {"fill": "edge"}}, "shift.*pixels"),
        ({"shift": None}, "shift.*pixels"),
        ({"flip": 2}, "flip.*takes no arguments"),
        ({"shift": -1}, "pixels=-1"),
        ({"shift": {"pixels": 1, "fill": "white"}}, "'white' is unknown; use one of zeros, edge, reflect"),
        ({"warp": {"scale": 1.5}}, "scale=1.5"),
        ({"warp": {"nodes": 1}}, "nodes=1"),
        ({"cutout": "large"}, "'large'"),
    ],
    ids=str,
)
def test_mistakes_are_named(choices, words):
    with pytest.raises(ValueError, match=words):
        build(choices)


def test_a_square_larger_than_the_picture_is_named():
    with pytest.raises(ValueError, match="cutout of 10 pixels"):
        Cutout(10)(pictures())


@pytest.mark.parametrize(
    ("name", "argument", "good", "bad"),
    [
        ("shift", "pixels", [0, 1, 8], [-1, 9, 2**62, 2**100, 1.5, True, float("nan")]),
        ("cutout", "size", [0, 1, 8], [-1, 9, 2**62, 2**100, 1.5, True, float("nan")]),
        ("warp", "rotate", [0, 1, 360], [-1, 361, 2**100, float("nan"), float("inf"), "far"]),
        ("warp", "scale", [0, 0.5], [-1, 1, 2**100, float("nan"), float("inf")]),
        ("warp", "shear", [0, 1, 89], [-1, 90, 2**100, float("nan"), float("inf")]),
        ("warp", "shift", [0, 1, 8.9], [-1, 9, 2**100, float("nan"), float("inf")]),
        ("warp", "bend", [0, 1, 8.9], [-1, 9, 2**100, float("nan"), float("inf")]),
        ("warp", "nodes", [2, 12], [-1, 0, 1, 13, 2**62, 2.5, float("nan")]),
    ],
)
@pytest.mark.parametrize("fill", ["zeros", "edge", "reflect"])
def test_numbers_at_their_edges(name, argument, good, bad, fill):
    """What leaves something of the pictures (9 x 12) works; all else is refused when it is built."""
    other = {"fill": fill} if name != "cutout" else {}
    other |= {"bend": 1} if argument == "nodes" else {}
    for value in good:
        (augment,) = build({name: other | {argument: value}}, (3, 9, 12))
        changed = augment(pictures(), generator=seeded())
        assert changed.shape == pictures().shape
        assert changed.flatten(1).float().std(1).min() > 1  # no picture of one colour
    for value in bad:
        with pytest.raises(ValueError, match=f"{name}.*{argument}={value!r}|{name}.* of {value} pixels leaves nothing"):
            build({name: other | {argument: value}}, (3, 9, 12))


def test_building_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    build({"shift": 2, "flip": None, "cutout": 4, "warp": {"bend": 1}}, (3, 9, 12))
    assert torch.equal(torch.get_rng_state(), before)
