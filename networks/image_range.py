"""Images as bytes, and as the numbers that a generative model works in."""

from torch import Tensor


def from_pixels(images: Tensor) -> Tensor:
    """uint8 -> [-1, 1]."""
    return images.float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8; what lies beyond is clipped."""
    return (127.5 * (images.float() + 1)).round().clamp(0, 255).byte()
