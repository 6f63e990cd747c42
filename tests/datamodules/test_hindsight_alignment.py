import numpy as np
import torch

from datamodules.hindsight_alignment import align_ends
from datamodules.pusht import read_keypoints
from envs import t_block


def test_aligned_episodes_end_on_the_target_and_keep_their_shape(write_demonstrations):
    demos = read_keypoints(write_demonstrations())
    moved = align_ends(demos)
    ends = moved.observations[demos.ends - 1, 2:].unflatten(-1, (8, 2)).numpy()
    np.testing.assert_allclose(ends, np.broadcast_to(t_block.corners(t_block.TARGET_POSE), ends.shape), atol=1e-3)
    for before, after in [(demos, moved)]:  # a rigid motion keeps every distance, also between actions and corners

        def distances(d):
            points = torch.cat([d.observations, d.actions], 1).unflatten(-1, (-1, 2))
            return torch.cdist(points, points)

        torch.testing.assert_close(distances(before), distances(after), rtol=1e-4, atol=1e-2)
