"""Episodes as moving pictures: a wall of worlds that play at the same time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np

import limits
from envs.drawing import draw
from envs.pusht import CONTROL_HZ
from envs.rollout import Episode, replay

MOST_COLUMNS = 100


def frames(episode: Episode, size: int = 192, legacy_resets: bool = True) -> Iterator[np.ndarray]:
    """The episode replayed as pictures (size, size, 3) uint8, the coming actions drawn as dots."""
    for step, env in enumerate(replay(episode, legacy_resets)):
        yield draw(env.pointer_position(), env.block_pose(), size, trail=episode.actions[step : step + 8])


def wall(episodes: Sequence[Episode], columns: int, size: int = 192, legacy_resets: bool = True) -> np.ndarray:
    """Episodes side by side, row by row: (L, rows * size, columns * size, 3) uint8. One that ends stands still."""
    limits.whole(1, MOST_COLUMNS, columns=columns)
    if not episodes:
        raise ValueError("there is no picture of no episodes")
    videos = [list(frames(episode, size, legacy_resets)) for episode in episodes]
    length = max(map(len, videos))
    videos = [np.stack(video + video[-1:] * (length - len(video))) for video in videos]
    videos += [np.full_like(videos[0], 255)] * (-len(videos) % columns)
    rows = [np.concatenate(videos[i : i + columns], 2) for i in range(0, len(videos), columns)]
    return np.concatenate(rows, 1)


def write(path: str | Path, pictures: np.ndarray, speed: float = 2.0) -> Path:
    """Write (L, H, W, 3) uint8 as .mp4 or .gif, `speed` times as fast as the world's 10 Hz; holds the last picture."""
    limits.number("[0.1, 10]", speed=speed)  # 1 to 100 pictures a second
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fps = CONTROL_HZ * speed
    pictures = np.concatenate([pictures, np.repeat(pictures[-1:], int(fps), 0)])
    if path.suffix == ".gif":
        iio.imwrite(path, pictures, duration=1000 / fps, loop=0, subrectangles=True)
    else:
        iio.imwrite(path, pictures, fps=round(fps), codec="libx264", plugin="pyav")
    return path
