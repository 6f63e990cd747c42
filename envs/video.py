"""Episodes as videos: a grid of worlds that play at the same time."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import limits
from envs.drawing import draw
from envs.episode import Episode, replay
from envs.pusht import CONTROL_HZ
from envs.world import Wrappers

MAX_COLUMNS = 100
TRAIL = 8  # actions ahead that are drawn


def frames(episode: Episode, size: int = 192, legacy_resets: bool = True, wrappers: Wrappers = ()) -> np.ndarray:
    """The episode replayed as images (L + 1, size, size, 3) uint8, the next eight actions drawn as dots."""
    states = [(env.pointer_position(), env.block_pose()) for env in replay(episode, legacy_resets, wrappers)]
    pointers, poses = map(np.array, zip(*states, strict=True))
    past_the_end = np.full((TRAIL, 2), np.nan)
    ahead = sliding_window_view(np.concatenate([episode.actions, past_the_end]), TRAIL, 0).swapaxes(1, 2)
    return draw(pointers, poses, size, trail=ahead)


def wall(episodes: Sequence[Episode], columns: int, size: int = 192, legacy_resets: bool = True) -> np.ndarray:
    """Episodes side by side, row by row: (L, rows * size, columns * size, 3) uint8.

    L is the length of the longest one; the last image of the others is repeated.
    """
    return tiled([frames(episode, size, legacy_resets) for episode in episodes], columns)


def tiled(videos: Sequence[Iterable[np.ndarray]], columns: int) -> np.ndarray:
    """Videos of images (H, W, 3) uint8 side by side, row by row: (L, rows * H, columns * W, 3) uint8.

    L is the length of the longest one; the last image of the others is repeated.
    """
    limits.whole(1, MAX_COLUMNS, columns=columns)
    if not videos:
        raise ValueError("a video needs at least one episode; got none")
    replayed = [list(images) for images in videos]
    length = max(map(len, replayed))
    equal = [np.stack(images + images[-1:] * (length - len(images))) for images in replayed]
    equal += [np.full_like(equal[0], 255)] * (-len(equal) % columns)
    rows = [np.concatenate(equal[i : i + columns], 2) for i in range(0, len(equal), columns)]
    return np.concatenate(rows, 1)


def write(path: str | Path, images: np.ndarray, speed: float = 2.0) -> Path:
    """Write (L, H, W, 3) uint8 as .mp4 or .gif, `speed` times as fast as the world's 10 Hz.

    The last image is held for a second. Returns the path.
    """
    limits.number("[0.1, 10]", speed=speed)  # 1 to 100 images a second
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fps = CONTROL_HZ * speed
    images = np.concatenate([images, np.repeat(images[-1:], int(fps), 0)])
    if path.suffix == ".gif":
        iio.imwrite(path, images, duration=1000 / fps, loop=0, subrectangles=True)
    else:
        iio.imwrite(path, images, fps=round(fps), codec="libx264", plugin="pyav")
    return path
