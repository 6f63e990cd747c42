"""The shipped models, asked for images."""

import numpy as np
import pytest
import torch
from PIL import Image

from checkpoints.load_trained import load_trained
from examples import draw


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", "")


def refused(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        draw.main([*words])
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_digits_are_those_that_were_asked_for(tmp_path, capsys):
    """As a classifier of them sees it; two of the same class are not the same."""
    draw.main(["7", "7", "3", "--scale", "3"])
    files = ["000-7.png", "001-7.png", "002-3.png", "grid.png"]
    assert sorted(path.name for path in (tmp_path / "runs/drawn").iterdir()) == files
    images = torch.stack([torch.from_numpy(np.array(Image.open(f"runs/drawn/{name}")))[None] for name in files[:3]])
    assert load_trained("mnist_mlp")(images).argmax(1).tolist() == [7, 7, 3]
    assert not torch.equal(images[0], images[1])
    assert Image.open("runs/drawn/grid.png").width == 3 * 132
    said = capsys.readouterr().out
    assert "3 images by mnist_ddpm" in said
    assert "look at runs/drawn/grid.png" in said


def test_a_gan_draws_without_guidance_and_one_of_each_class_by_default(tmp_path, capsys):
    draw.main(["--model", "svhn_gan", "--out", "mine", "--seed", "3"])
    assert [path.name for path in sorted((tmp_path / "mine").iterdir())][:2] == ["000-0.png", "001-1.png"]
    assert len(list((tmp_path / "mine").iterdir())) == 11
    assert "--scale 2.0: GAN draws without guidance" in refused(capsys, "1", "--model", "svhn_gan", "--scale", "2")


def test_photographs_are_named_by_words():
    names = draw.class_names(load_trained("cifar10_ddpm"), "cifar10_ddpm")
    assert draw.labels_of(["ship", "Cat", "0"], names) == [8, 3, 0]
    assert draw.labels_of([], names) == list(range(10))


@pytest.mark.slow
def test_photographs_are_drawn(tmp_path):
    draw.main(["ship", "cat"])
    assert {path.name for path in (tmp_path / "runs/drawn").iterdir()} == {"000-ship.png", "001-cat.png", "grid.png"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shp"], "there is no class 'shp'; this model draws airplane, automobile,"),
        (["shp"], "did you mean 'ship'?"),
        (["10"], "there is no class '10'; this model draws 0, 1,"),
        (["-1"], "there is no class '-1'"),
        (["1", "--scale", "-1"], "guidance_scale=-1.0"),
        (["1", "--scale", "nan"], "guidance_scale=nan"),
        (["1", "--scale", "much"], "invalid float value: 'much'"),
        (["1", "--seed", "-1"], "seed=-1 must be a whole number"),
        (["1", "--model", "mnist_mlp"], "MLPClassifier draws no images; take a DDPM or a GAN"),
        (["1", "--model", "nothing"], "there are no weights nothing"),
        (["1"] * 1001, "1001 images are too many at once"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert message in refused(capsys, *words)


def test_a_grid_has_rows_of_ten_and_a_name_beneath_each_image():
    images = [Image.new("L", (4, 4), 255 * (number == 10)) for number in range(11)]
    sheet = np.asarray(draw.grid(images, ["airplane"] * 11))
    assert sheet.shape == (2 * 154, 10 * 132, 3)
    assert (sheet[60, :132] == 0).all(-1).sum() == 128
    assert (sheet[154 + 60, 2:130] == 255).all()
    beneath = sheet[132:152, :132]
    assert (beneath == 0).any()
    assert (sheet[154 + 132 :, 132:] == 255).all()  # no image, no name
