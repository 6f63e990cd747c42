"""Diffusion in the plane: it learns its toys, and draws what it says."""

import pytest
import torch
from PIL import Image

from diffusion.samplers import HeunSampler
from examples.diffusion_2d import TOYS, PointModel, main, mixture


@pytest.mark.slow
def test_classes_of_the_mixture_are_learned():
    """By the nearest centre: more points of their own class, and more with guidance than of the data."""
    model = PointModel(mixture, 3)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model.train(400, generator, batch_size=256)
    labels = torch.arange(1500) % 3
    x = torch.randn(1500, 2, generator=generator)
    turn = torch.pi / 3 * torch.arange(6)
    centres = 0.7 * torch.stack([turn.cos(), turn.sin()], 1)

    def right(points, own):
        return (torch.cdist(points, centres).argmin(1) % 3 == own).float().mean().item()

    data, classes = mixture(20_000, generator)
    one = model.walk(HeunSampler(), 10, x, labels)[-1]
    pulled = model.walk(HeunSampler(), 10, x, labels, guidance_scale=3.0)[-1]
    alone = model.walk(HeunSampler(), 10, x, labels, guidance_scale=0.0)[-1]
    assert right(alone, labels) == pytest.approx(1 / 3, abs=0.05)
    assert 0.7 < right(one, labels) < right(data, classes) < right(pulled, labels)
    torch.testing.assert_close(one.std(0), data.std(0), rtol=0.1, atol=0)


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_about_as_large_as_they_say(name):
    toy, classes = TOYS[name]
    points, labels = toy(5000, torch.Generator().manual_seed(0))
    assert points.shape == (5000, 2)
    assert set(labels.tolist()) == set(range(classes))
    assert points.abs().quantile(0.99) < 1.2
    assert points.mean(0).abs().max() < 0.1


def test_it_draws_all_that_it_says(tmp_path, capsys):
    main(["--out", str(tmp_path), "--updates", "2", "--points", "9", "--frames", "3"])
    with Image.open(tmp_path / "forward_and_reverse.gif") as film:
        assert film.n_frames == 6
    for name in ("guidance", "samplers", "few_steps"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 800
    assert f"drawn in {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["--updates 0", "--points 0", "--frames 1", "--seed -1", "--out /dev/null/x"])
def test_impossible_arguments(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    assert words.split()[1].lstrip("-") in capsys.readouterr().err
