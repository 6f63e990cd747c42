import csv
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from callbacks.class_prediction_writer import ClassPredictionWriter
from datamodules.image_files import read_image_files


def halves(size, left=(200, 30, 40), right=(10, 90, 250)):
    """An image (height, width) whose left half and right half have one colour each."""
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:, : size[1] // 2], pixels[:, size[1] // 2 :] = left, right
    return Image.fromarray(pixels)


def test_any_size_format_and_depth(tmp_path, capsys):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    halves((64, 64)).save(tmp_path / "a.png")
    halves((300, 100)).save(tmp_path / "b.JPG", quality=95)
    halves((7, 9)).convert("RGBA").save(tmp_path / "deep" / "er" / "c.png")
    halves((40, 40)).convert("L").save(tmp_path / "d.gif")
    found = read_image_files(tmp_path, (3, 32, 32))
    assert found.files == ["a.png", "b.JPG", "d.gif", "deep/er/c.png"]
    assert found.images.shape == (4, 3, 32, 32)
    assert found.images.dtype == torch.uint8
    for place in (0, 1):
        corner = found.images[place, :, 2, 2].int()
        assert (corner - torch.tensor([200, 30, 40])).abs().max() <= 6
        assert (found.images[place, :, 2, -3].int() - torch.tensor([10, 90, 250])).abs().max() <= 6
    assert not capsys.readouterr().err.strip()


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    found = read_image_files(tmp_path / "digit.png", (1, 28, 28))
    assert found.files == ["digit.png"]
    assert torch.equal(found.images[0, 0], torch.from_numpy(pixels))


def test_it_is_cropped_to_the_middle_and_turned_as_the_camera_says(tmp_path):
    wide = Image.new("RGB", (90, 30), (0, 0, 255))
    wide.paste((255, 0, 0), (30, 0, 60, 30))
    wide.save(tmp_path / "wide.png")
    assert (read_image_files(tmp_path, (3, 10, 10)).images[0, 0] > 230).all()
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves((32, 32)).save(tmp_path / "wide.png", exif=exif)
    turned = read_image_files(tmp_path, (3, 32, 32)).images[0]
    assert turned[2, 0, 0] == 250


def test_what_cannot_be_read_is_reported_and_left_out(tmp_path, capsys):
    halves((32, 32)).save(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / ".hidden.png").write_bytes(b"nothing")
    assert read_image_files(tmp_path, (3, 32, 32)).files == ["good.png"]
    reported = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(reported) == 3
    for name in ("torn.png", "notes.txt", "empty.jpg"):
        assert sum(name in line for line in reported) == 1


def test_batches(tmp_path):
    for number in range(3):
        Image.new("L", (4, 4), 10 * number).save(tmp_path / f"{number}.png")
    found = read_image_files(tmp_path, (1, 4, 4))
    batch = found.__getitems__([2, 0])
    assert batch["file"] == ["2.png", "0.png"]
    assert batch["image"][:, 0, 0, 0].tolist() == [20, 0]
    assert len(found) == 3


def test_mistakes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_image_files(tmp_path / "nowhere", (3, 32, 32))
    with pytest.raises(ValueError, match="holds 0 files"):
        read_image_files(tmp_path, (3, 32, 32))
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(ValueError, match="holds 1 files"):
        read_image_files(tmp_path, (3, 32, 32))


def test_names_that_are_no_utf8(tmp_path, capsys):
    """Such files are answered, and left out, like all others; a table of them can be written."""
    folder = os.fsencode(tmp_path)
    halves((32, 32)).save(tmp_path / "whole.png")
    for name in (b"caf\xe9.png", "caf\u00e9.png".encode()):
        with open(os.path.join(folder, name), "wb") as file:
            file.write((tmp_path / "whole.png").read_bytes())
    with open(os.path.join(folder, b"torn\xff.png"), "wb") as file:
        file.write(b"torn")
    found = read_image_files(tmp_path, (3, 32, 32))
    assert sorted(found.files) == ["caf\\xe9.png", "caf\u00e9.png", "whole.png"]
    assert "torn\\xff.png: it is no image" in capsys.readouterr().err
    trainer = SimpleNamespace(
        callbacks=[],
        loggers=[SimpleNamespace(log_dir=str(tmp_path / "run"))],
        global_rank=0,
        strategy=SimpleNamespace(broadcast=lambda value: value),
    )
    module = SimpleNamespace(class_names=("a", "b"))
    table, batch = ClassPredictionWriter(), found.__getitems__([0, 1, 2])
    table.on_predict_start(trainer, module)
    label = torch.zeros(3, dtype=torch.long)
    table.write_on_batch_end(trainer, module, {"label": label, "probability": torch.eye(3, 2)}, None, batch, 0, 0)
    table.on_predict_end(trainer, module)
    with open(tmp_path / "run" / "predictions.csv", encoding="utf-8") as file:
        assert [row["file"] for row in csv.DictReader(file)] == found.files


def test_a_pipe_is_left_out(tmp_path, capsys):
    """It would be waited for."""
    halves((32, 32)).save(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert read_image_files(tmp_path, (3, 32, 32)).files == ["good.png"]
    assert "pipe.png: it is no file" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_images_of_any_proportions(size, tmp_path):
    halves(size).save(tmp_path / "a.png")
    assert read_image_files(tmp_path, (3, 32, 32)).images.shape == (1, 3, 32, 32)
