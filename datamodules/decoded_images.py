"""Encoded images decoded once, to uint8 of one shape, and kept in a cache file.

N images that can be read, C channels, H height, W width.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import track
from torch import Tensor

from datamodules import cache
from datamodules.encoded_images import EncodedImages, contents_of
from datamodules.image_reader import fit_image, read_image
from limits import number, whole

READING = 3  # raise it when images are read differently: old cache files are then left alone
GB = 1e9


@dataclass(frozen=True)
class Decoder:
    """How images become uint8 of one shape.

    Args:
        shape: C, H, W.
        fit: whether images of another size are cropped to the middle in the proportions of `shape` and resampled;
            otherwise they are an error.
        invert: take the negative.
        broken_share: share of the images that may be impossible to read: these are reported one by one and left out.
        in_memory: GB of decoded images that are held in memory; more stay in cache files, mapped into memory, and are
            read from there batch by batch.
        advice: what to do about images of another size, for messages.
    """

    shape: tuple[int, int, int]
    fit: bool = False
    invert: bool = False
    broken_share: float = 0.0
    in_memory: float = 4.0
    advice: str = ""

    def __post_init__(self) -> None:
        for side in self.shape:
            whole(shape=side)
        number("[0, 1)", broken_share=self.broken_share)
        number("[0, inf)", in_memory=self.in_memory)

    def __call__(self, encoded: EncodedImages, parts: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Those of each part that can be read, (n, C, H, W) uint8, and their labels, (n,).

        What fits into memory is decoded and kept as a whole, whatever its parts are; of more, each part is a file.

        Args:
            encoded: N images.
            parts: indices (n,) of each part.

        Raises ValueError where an image has another size, or where more than `broken_share` cannot be read.
        """
        if len(encoded) * math.prod(self.shape) > self.in_memory * GB:
            files = [encoded.subset(part) for part in parts]
            return [(rows, file.labels[kept]) for file in files for rows, kept in [self._read(file)]]
        rows, kept = self._read(encoded)
        place = kept.cumsum(0) - 1  # of an image among those that can be read
        readable = [part[kept[part]] for part in parts]
        return [(rows[place[part]], encoded.labels[part]) for part in readable]

    def _read(self, encoded: EncodedImages) -> tuple[Tensor, Tensor]:
        """Images that can be read, in a file that is mapped into memory, and which these are, (N,) bool."""
        # Contents name the cache file: changed data or another shape is other data, wherever it lies.
        key = f"images-{cache.digest([repr((READING, self.shape, self.fit, self.invert)).encode(), *encoded.contents])}"
        found = cache.cached_rows(key, len(encoded), self.shape, lambda: self._decoded(encoded), self.in_memory * GB)
        kept = found["kept"]
        left_out = int((~kept).sum())
        if left_out:
            self._check_broken(left_out, encoded, encoded.name(int((~kept).nonzero()[0])))
            _say(f"{left_out} of {len(encoded)} images of {encoded.source!r} cannot be read and are left out")
        return found["rows"], kept

    def _decoded(self, encoded: EncodedImages) -> Iterator[np.ndarray | None]:
        quiet = rank_zero_only.rank != 0  # type: ignore[attr-defined]  # set by Lightning
        broken, files = 0, iter(encoded)  # what is drawn is drawn here, with a bar of its own
        bar = track(files, f"decoding {encoded.source}", len(encoded), transient=True, disable=quiet)
        for index, file in enumerate(bar):
            try:
                image = read_image(contents_of(file), self.shape[0])
            except (ValueError, OSError) as error:
                broken += 1
                self._check_broken(broken, encoded, encoded.name(index), error)
                _say(f"left out {encoded.name(index)}: {error}")
                yield None
                continue
            if self.fit:
                image = fit_image(image, *self.shape[1:])
            elif image.size[::-1] != self.shape[1:]:
                raise ValueError(
                    f"{encoded.name(index)} has {image.height} x {image.width} pixels; all must have "
                    f"{self.shape[1]} x {self.shape[2]}{self.advice}"
                )
            pixels = np.moveaxis(np.asarray(image).reshape(*self.shape[1:], self.shape[0]), -1, 0)
            yield 255 - pixels if self.invert else pixels

    def _check_broken(self, broken: int, encoded: EncodedImages, name: str, error: Exception | None = None) -> None:
        if broken <= self.broken_share * len(encoded):
            return
        reason = f": {error}" if error else ""
        if self.broken_share:
            raise ValueError(
                f"more than broken_share={self.broken_share} of {len(encoded)} images of {encoded.source!r} cannot be "
                f"read, such as {name}{reason}; repair or remove them, or raise --data.broken_share"
            )
        raise ValueError(f"{name} cannot be read{reason}")


def _say(line: str) -> None:
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # set by Lightning
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(line)
