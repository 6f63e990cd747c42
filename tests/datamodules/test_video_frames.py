import numpy as np
import pytest

from datamodules.video_frames import video_frames
from tests.datamodules.lerobot_folders import FPS, brightness, write_video


@pytest.fixture
def film(tmp_path):
    """Nine frames, 0.1 s apart."""
    write_video(tmp_path / "film.mp4", np.arange(9))
    return tmp_path / "film.mp4"


@pytest.mark.parametrize("steps", [range(9), [8, 0, 3], [4, 4], [2.3, 5.9]])
def test_each_time_shows_its_nearest_frame(steps, film):
    frames = video_frames(film, np.array(steps) / FPS, 0.5 / FPS)
    expected = brightness(np.round(steps))
    np.testing.assert_allclose(frames.float().mean((1, 2, 3)), expected, atol=2)  # a change of colour space rounds


def test_times_without_a_frame_are_named(film):
    with pytest.raises(ValueError, match=r"no frame at 0\.950 s \(2 of 3 are missing\)"):
        video_frames(film, np.array([0.1, 0.95, 7.0]), 0.5 / FPS)
