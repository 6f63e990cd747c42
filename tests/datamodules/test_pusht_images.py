from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.augmentation import HorizontalFlip, Shift
from datamodules.photometric_augmentation import ForSome
from datamodules.pusht_images import PushTImages
from envs import t_block
from envs.pusht import PushT


def batches(training, **options):
    """The first batch as keypoints, and as images."""
    data = PushTImages(source="bundled", batch_size=6, **{"scenes": 8} | options)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    data.trainer = SimpleNamespace(training=training)
    torch.manual_seed(0)
    return batch, data.on_after_batch_transfer(dict(batch), 0)


def world(keypoints):
    """What the environment itself shows of a world (18,): (3, 96, 96)."""
    env = PushT(observation="pixels")
    points = keypoints.double().numpy()
    pose = t_block.pose_of(points[2:].reshape(8, 2))
    shown, _ = env.reset(options={"reset_to_state": [*points[:2], *pose]})
    return torch.from_numpy(shown).movedim(-1, 0)


def apart(one, other):
    return (one.int() - other.int()).abs()


def test_validation_shows_what_the_environment_shows():
    batch, shown = batches(training=False)
    assert shown["observation"].shape == (6, 2, 3, 96, 96)
    assert shown["observation"].dtype == torch.uint8
    for row in (0, 5):
        for step in (0, 1):
            # Keypoints are float32, and so are poses of these: an edge may be rounded the other way.
            assert apart(shown["observation"][row, step], world(batch["observation"][row, step])).max() <= 1
    assert torch.equal(shown["scene"], shown["observation"].flatten(0, 1))
    assert torch.equal(shown["scene_keypoints"], batch["observation"].flatten(0, 1))
    assert torch.equal(shown["action"], batch["action"])


def test_training_shows_mirrored_windows_and_scenes_of_their_keypoints():
    _, shown = batches(training=True, mirror=True)
    assert shown["scene"].shape == (8, 3, 96, 96)
    for image, keypoints in zip(shown["scene"], shown["scene_keypoints"], strict=True):
        assert apart(image, world(keypoints)).max() <= 1
        corners = keypoints[2:].double().view(8, 2).numpy()
        assert np.allclose(t_block.corners(t_block.pose_of(corners)), corners, atol=1e-3)  # a rigid T


def test_without_scenes_there_are_none():
    for training in (True, False):
        _, shown = batches(training, scenes=0)
        assert "scene" not in shown


def test_half_of_the_scenes_are_near_the_demonstrations():
    batch, shown = batches(training=True, scenes=400, mirror=False)
    own, found = batch["observation"].flatten(0, 1)[:, 2:4], shown["scene_keypoints"][:, 2:4]
    distance = torch.cdist(found, own).min(1).values
    assert (distance[:200] < 100).all()  # five standard deviations
    assert (distance[200:] > 100).float().mean() > 0.5
    pointers = shown["scene_keypoints"][200:, :2]
    assert ((pointers > 0) & (pointers < 512)).all()
    assert pointers.std(0).min() > 100


def test_changes_are_those_of_a_window_and_of_training():
    """A shift moves both images of a window alike; colours differ between windows."""
    batch, shown = batches(training=True, mirror=False, scenes=0, augment=[Shift(3, "edge")], colour_jitter=40)
    corner = shown["observation"][:, :, :, 48, 2]  # (B, O, C): background
    assert torch.equal(corner[:, 0], corner[:, 1])
    assert len(corner[:, 0].unique(dim=0)) == 6
    still = (batch["observation"][:, 0] == batch["observation"][:, 1]).all(1)
    assert still.any()
    assert torch.equal(shown["observation"][still, 0], shown["observation"][still, 1])
    _, plain = batches(training=False, augment=[Shift(3, "edge")], colour_jitter=40)
    assert (plain["observation"][:, :, :, 48, 2] == 255).all()  # white


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenes": -1}, "scenes=-1"),
        ({"colour_jitter": 256}, "colour_jitter=256"),
        ({"augment": ["Blur"]}, "augment holds 'Blur'"),
        ({"augment": [Shift(96)]}, "pixels=96 leaves nothing of images of 96 x 96"),
        ({"augment": [HorizontalFlip()]}, "HorizontalFlip, which mirrors images and neither keypoints nor actions"),
        ({"augment": [ForSome(HorizontalFlip(), 0.1)]}, "HorizontalFlip, which mirrors images"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        PushTImages(source="bundled", **options)
