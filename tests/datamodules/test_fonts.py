from functools import partial

import numpy as np
import pytest
import torch
from PIL import ImageFont

from datamodules import cache, fonts
from datamodules.decoded_images import Decoder
from datamodules.images import Images
from datamodules.mnist import MNIST


@pytest.fixture(autouse=True)
def few(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fonts, "SIZES", {"train": 60, "test": 30})


def digits(split, shape):
    encoded = fonts.FontSource(shape).read(split, fonts.CLASS_NAMES)
    return Decoder(shape)(encoded, [torch.arange(len(encoded))])[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 20, 30)])
def test_draws_as_many_of_each_digit(shape):
    images, labels = digits("train", shape)
    assert images.shape == (60, *shape)
    assert images.dtype == torch.uint8
    assert labels.bincount().tolist() == [6] * 10


def test_always_the_same_and_splits_differ(tmp_path):
    first = digits("train", (1, 28, 28))
    for path in tmp_path.iterdir():
        path.unlink()
    again = digits("train", (1, 28, 28))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    test = digits("test", (1, 28, 28))[0]
    assert not (first[0][:30] == test).flatten(1).all(1).any()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 30)])
def test_as_they_are_drawn(shape):
    images, labels = fonts.draw(60, shape, np.random.default_rng(fonts.SEEDS["train"]))
    read = digits("train", shape)
    assert torch.equal(read[0], images)
    assert torch.equal(read[1], labels)


def test_drawn_once(monkeypatch):
    first = digits("train", (1, 28, 28))
    monkeypatch.setattr(fonts, "draw", None)
    assert torch.equal(digits("train", (1, 28, 28))[0], first[0])


@pytest.mark.parametrize("make", [MNIST, partial(Images, size=28)], ids=["published", "own"])
def test_a_datamodule_draws_them_once(make, monkeypatch):
    """Also where some are held out."""
    first, again = make("fonts"), make("fonts")
    first.setup()
    monkeypatch.setattr(fonts, "draw", None)
    again.setup()
    for name in ("train_set", "val_set", "test_set"):
        assert torch.equal(getattr(again, name).images, getattr(first, name).images)


def test_images_show_a_digit_that_touches_no_side():
    images, _ = fonts.draw(200, (1, 28, 28), np.random.default_rng(0))
    ink = images.flatten(1).float().mean(1) / 255
    assert ink.min() > 0.01
    assert ink.max() < 0.5
    sides = torch.cat([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], -1)
    assert (sides > 128).flatten(1).any(1).float().mean() < 0.02


def test_ink_stands_out_from_the_ground():
    images, _ = fonts.draw(200, (3, 32, 32), np.random.default_rng(0))
    contrast = (images.flatten(2).amax(2).int() - images.flatten(2).amin(2).int()).amax(1)
    assert contrast.min() >= 50


def test_digits_can_be_told_apart():
    """Nearest neighbours in pixels, trained on other draws: far better than chance."""
    train, train_labels = fonts.draw(1000, (1, 28, 28), np.random.default_rng(0))
    test, test_labels = fonts.draw(200, (1, 28, 28), np.random.default_rng(1))
    nearest = torch.cdist(test.flatten(1).float(), train.flatten(1).float()).argmin(1)
    assert (train_labels[nearest] == test_labels).float().mean() > 0.7


def test_every_font_has_digits():
    """Each digit's image differs from that of a character that no font has."""
    assert len(fonts.fonts()) >= 20
    for path in fonts.fonts():
        font = ImageFont.truetype(path, 32)
        box = bytes(font.getmask("\U0010fffe"))
        assert len({bytes(font.getmask(digit)) for digit in fonts.CLASS_NAMES} - {box}) == 10, path.name


def test_fonts_of_symbols_are_left_out():
    names = {path.stem for path in fonts.fonts()}
    assert {"DejaVuSans", "STIXGeneral", "cmr10"} <= names
    assert not names & {"cmex10", "cmsy10", "DejaVuSansDisplay", "STIXSizOneSymReg"}


def test_other_fonts_are_other_images(monkeypatch):
    first = digits("train", (1, 28, 28))[0]
    fewer = fonts.fonts()[:3]
    monkeypatch.setattr(fonts, "fonts", lambda: fewer)
    assert not torch.equal(digits("train", (1, 28, 28))[0], first)


def test_another_split_is_named():
    with pytest.raises(ValueError, match="'extra'; use one of train, test"):
        digits("extra", (1, 28, 28))
