import numpy as np
import torch

from datamodules.mirror_image import mirror
from envs.pusht import PushT
from tests.datamodules.one_device import copies


def test_the_mirror_image_of_an_episode_is_an_episode():
    """Step the world and its mirror image side by side: states stay mirror images of each other.

    The walls stand at 5 and 506, half a pixel off the mirror's axis, so the block stays clear of them here.
    """
    world, mirrored = PushT("keypoints"), PushT("keypoints")
    state = np.array([150.0, 150.0, 220.0, 230.0, 0.7])
    reflected = np.array([512 - 150.0, 512 - 150.0, 512 - 230.0, 512 - 220.0, np.pi / 2 - 0.7])
    here, _ = world.reset(options={"reset_to_state": state})
    there, _ = mirrored.reset(options={"reset_to_state": reflected})
    rng = np.random.default_rng(0)
    for _ in range(60):
        action = rng.uniform(180, 330, 2)
        expected, moved = mirror(torch.from_numpy(here), torch.from_numpy(action))
        np.testing.assert_allclose(there, expected.numpy(), atol=0.5)
        here, *_ = world.step(action)
        there, *_ = mirrored.step(moved.numpy())


def test_mirroring_twice_changes_nothing():
    observation, action = torch.rand(4, 2, 18) * 512, torch.rand(4, 16, 2) * 512
    for once, twice in zip((observation, action), mirror(*mirror(observation, action)), strict=True):
        torch.testing.assert_close(once, twice)


def test_all_of_it_is_done_where_the_demonstrations_are():
    observation, action = torch.rand(4, 2, 18, device="meta"), torch.rand(4, 16, 2, device="meta")
    with copies() as noted:
        mirrored = mirror(observation, action)
    assert not noted
    assert [values.shape for values in mirrored] == [observation.shape, action.shape]
