"""Frames of video files, decoded once.

n frames, H height, W width.
"""

import hashlib
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from datamodules import cache


def video_frames(path: Path, times: np.ndarray, tolerance: float) -> Tensor:
    """The frames that a video shows at these times (n,), in seconds: (n, 3, H, W) uint8.

    Raises ValueError where the file cannot be decoded, or has no frame within `tolerance` seconds of a time.
    """
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").digest()
    key = cache.digest([content, np.asarray(times, np.float64).tobytes()])
    return cache.cached(f"video-{key}", lambda: {"frames": _decoded(path, times, tolerance)})["frames"]


def _decoded(path: Path, times: np.ndarray, tolerance: float) -> Tensor:
    order = np.argsort(times, kind="stable")
    frames, apart, reached = None, np.full(len(times), np.inf), 0  # the nearest frame so far, how far it is
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.time is None:
                    continue
                now = float(frame.time)
                while reached < len(order) and times[order[reached]] < now - tolerance:
                    reached += 1
                image, place = None, reached
                while place < len(order) and times[order[place]] <= now + tolerance:
                    row, place = order[place], place + 1
                    if abs(times[row] - now) < apart[row]:
                        if image is None:
                            image = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                        if frames is None:
                            frames = torch.empty(len(times), *image.shape, dtype=torch.uint8)
                        frames[row], apart[row] = image, abs(times[row] - now)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"the video {path} cannot be decoded: {str(error).splitlines()[0]}") from error
    missing = np.flatnonzero(np.isinf(apart))
    if frames is None or len(missing):
        raise ValueError(
            f"the video {path} has no frame at {times[missing[0]]:.3f} s ({len(missing)} of {len(times)} are missing); "
            "it does not belong to these rows, or is not whole"
        )
    return frames
