import io

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Image as ImageFeature
from PIL import Image

from datamodules.stored_images import decode_images, is_image


def column(*images):
    encoded = []
    for image in images:
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        encoded.append({"bytes": content.getvalue(), "path": None})
    return pa.chunked_array([pa.array(encoded)])


def test_images_are_decoded_once_and_kept(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)
    found = decode_images(column(*images), "a column")
    assert torch.equal(found, torch.from_numpy(images).permute(0, 3, 1, 2))
    monkeypatch.setattr("datamodules.stored_images.read_image", None)
    assert torch.equal(decode_images(column(*images), "a column"), found)


def test_which_features_are_images():
    assert is_image(ImageFeature())
    assert is_image({"bytes": None, "path": None})
    assert not is_image([1.0])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"bytes": b"none", "path": None}], "^a column: image 0 cannot be read"),
        ([{"bytes": None, "path": "a.png"}], "^a column: image 0 is not in the file"),
        ([None], "^a column: image 0 is not in the file"),
    ],
)
def test_images_that_are_none_are_named(rows, words):
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    with pytest.raises(ValueError, match=words):
        decode_images(pa.chunked_array([pa.array(rows, kind)]), "a column")


def test_images_of_two_sizes_are_named():
    with pytest.raises(ValueError, match="image 1 is 4 x 6, others are 5 x 6; give them one size"):
        decode_images(column(np.zeros((6, 5, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)), "a column")
