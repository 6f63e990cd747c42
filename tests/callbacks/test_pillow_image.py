import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from callbacks.pillow_image import pillow_image


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_torchvisions_and_comes_back_from_a_file(channels, tmp_path):
    image = torch.randint(256, (channels, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = pillow_image(image)
    assert ours.mode == to_pil_image(image).mode
    assert np.array_equal(np.asarray(ours), np.asarray(to_pil_image(image)))
    ours.save(tmp_path / "image.png")
    with Image.open(tmp_path / "image.png") as read:
        assert np.array_equal(np.asarray(read), np.asarray(ours))


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 4), (1, 1, 4, 4), (0, 4, 4)])
def test_other_tensors_are_refused(shape):
    with pytest.raises(ValueError, match=r"an image must be \(1, H, W\) or \(3, H, W\) uint8"):
        pillow_image(torch.zeros(shape, dtype=torch.uint8))
