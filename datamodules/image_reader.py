"""One image file as 8-bit grey or RGB pixels: the reader of training sets and of `predict` alike.

    file ─► first frame ─► 8 bits a channel ─► on an opaque ground ─► grey or RGB ─► turned as its camera says

Brightness. 8-bit images stay as they are. Grey values of 16 or 32 bits or floating point carry no scale of their own
in Pillow: the first of the ranges 0 to 1 (floating point only), 0 to 255 and 0 to 65,535 that holds all of an image's
values becomes 0 to 255. Values below 0, above 65,535 or not finite are refused.

Transparency. What is transparent lies on white, as in a browser, or on black where the image itself (its mean grey,
weighted by opacity) is lighter than mid-grey: white ink on nothing does not vanish.

H height, W width.
"""

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

MODES = {1: "L", 3: "RGB"}  # channels -> what Pillow calls such an image
TURNS: dict[int | None, Image.Transpose] = {  # EXIF orientation -> what brings the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(file: Path | bytes, channels: int) -> Image.Image:
    """The image in a file, or in the bytes of one, of mode L (1 channel) or RGB (3).

    Raises ValueError, in one line, where it cannot be read.
    """
    if channels not in MODES:
        raise ValueError(f"channels={channels} must be 1 (grey) or 3 (red, green and blue)")
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            image.load()
            upright = TURNS.get(_orientation(image))
            pixels = opaque(image, MODES[channels])
    except UnidentifiedImageError as error:
        raise ValueError("it is no image, or of a format that Pillow does not read") from error
    except Exception as error:  # Pillow's readers meet a damaged file with errors of every kind
        reason = str(error).strip() or type(error).__name__
        raise ValueError(" ".join(reason.split())) from error
    return pixels if upright is None else pixels.transpose(upright)


def fit_image(image: Image.Image, height: int, width: int) -> Image.Image:
    """An image cropped to the middle in these proportions, and resampled to this size."""
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def look(file: bytes) -> tuple[int, int, int]:
    """Channels (1 for grey, 3 for colour), height and width that `read_image` would find, mostly by the header alone.

    Raises ValueError, in one line, where the file is no image.
    """
    try:
        with Image.open(io.BytesIO(file)) as image:
            width, height = image.size[::-1] if (_orientation(image) or 1) >= 5 else image.size
            return 1 if _is_grey(image) else 3, height, width
    except Exception as error:
        raise ValueError("it is no image, or of a format that Pillow does not read") from error


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        image.load()  # only then is the palette there
        colours = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def _orientation(image: Image.Image) -> int | None:
    """As `ImageOps.exif_transpose` reads it; that writes the other tags anew, and fails where one has a wrong type."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a block that cannot be read turns nothing
        return None


def opaque(image: Image.Image, mode: str) -> Image.Image:
    """The image in "L" or "RGB", without transparency and in eight bits a channel."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB").convert(mode) if image.mode not in ("1", "L") else image.convert(mode)
    rgba = image.convert("LA" if image.mode == "La" else image.mode).convert("RGBA")
    grey, opacity = np.asarray(rgba.convert("L"), np.float64), np.asarray(rgba.getchannel("A"), np.float64)  # (H, W)
    light = (grey * opacity).sum() > 127.5 * opacity.sum()
    ground = Image.new("RGBA", rgba.size, "black" if light else "white")
    return Image.alpha_composite(ground, rgba).convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floating point as L, with transparency as LA where one grey value stands for it."""
    values = np.asarray(image).astype(np.float64)  # (H, W)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):  # also where one is not a number
        raise ValueError(
            f"its grey values go from {low:g} to {high:g}; save it with values from 0 to 1, to 255 or to 65535"
        )
    full = next(full for full in (1, 255, 65535) if high <= full and (full > 1 or image.mode == "F"))
    grey = Image.fromarray((values * (255 / full)).round().astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey
