import pytest
import torch

from networks.folded_cnn import FoldedCNN


def test_images_become_numbers():
    network = FoldedCNN((3, 96, 96))
    images = torch.randint(256, (5, 3, 96, 96), dtype=torch.uint8)
    encoded = network(images)
    assert encoded.shape == (5, network.dim)
    assert encoded.isfinite().all()
    assert torch.allclose(network(images[2:3]), encoded[2:3], atol=1e-5)  # each by itself


@pytest.mark.parametrize("place", [(0, 0), (95, 95), (40, 71)])
def test_every_pixel_counts(place):
    torch.manual_seed(0)
    network = FoldedCNN((3, 96, 96))
    image = torch.full((1, 3, 96, 96), 128, dtype=torch.uint8)
    other = image.clone()
    other[..., place[0], place[1]] = 255
    assert not torch.equal(network(image), network(other))


def test_other_sizes():
    assert FoldedCNN((1, 32, 48), widths=(8, 8, 8, 4), fold=2, dim=7)(
        torch.zeros(2, 1, 32, 48, dtype=torch.uint8)
    ).shape == (2, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (3, 100, 96)}, r"shape=\[3, 100, 96\] does not fit fold=4: both sides must be multiples of 8"),
        ({"shape": (3, 96, 96), "widths": (8, 8)}, r"widths=\[8, 8\] must be the channels of four convolutions"),
        ({"shape": (3, 96, 96), "widths": (8, 8, 0, 8)}, r"widths=0"),
        ({"shape": (3, 96, 96), "fold": 0}, r"fold=0"),
        ({"shape": (3, 96, 96), "dim": 0}, r"dim=0"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        FoldedCNN(**options)
