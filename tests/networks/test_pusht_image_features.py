import numpy as np
import pytest
import torch
from torch import nn

from envs import t_block
from networks.pusht_features import PushTFeatures
from networks.pusht_image_features import UNIT, PushTImageFeatures

GENERATOR = np.random.default_rng(0)
POSES = np.column_stack([GENERATOR.uniform(50, 450, (6, 2)), GENERATOR.uniform(0, 2 * np.pi, 6)])
POINTERS = GENERATOR.uniform(0, 512, (6, 2))
KEYPOINTS = torch.from_numpy(np.concatenate([POINTERS, t_block.corners(POSES).reshape(6, 16)], 1)).float()


class Oracle(nn.Module):
    """Reads from an image's first pixel which of the scenes it shows."""

    dim = 6

    def __init__(self, shape, length=1.0):
        super().__init__()
        x, y, angle = torch.from_numpy(POSES).float().T
        along = length * torch.stack([angle.cos(), angle.sin()], 1)
        pointer = torch.from_numpy(POINTERS).float()
        answers = torch.cat([pointer / 256 - 1, torch.stack([x, y], 1) / 256 - 1, along], 1)
        self.register_buffer("answers", answers)

    def forward(self, images):
        return self.answers[images[:, 0, 0, 0].long()]


def images(numbers):
    shown = torch.zeros(*torch.as_tensor(numbers).shape, 3, 96, 96, dtype=torch.uint8)
    shown[..., 0, 0, 0] = torch.as_tensor(numbers, dtype=torch.uint8)
    return shown


def features(encoder=Oracle, n_obs_steps=2):
    made = PushTImageFeatures(n_obs_steps, image_encoder=encoder)
    if encoder is not None and made.head.in_features == 6:
        nn.init.eye_(made.head.weight)
        nn.init.zeros_(made.head.bias)
    return made


@pytest.mark.parametrize("length", [1.0, 0.4, 3.0])
def test_what_the_network_finds_becomes_the_worlds_keypoints(length):
    """As `envs.t_block` has them, in float64; the direction's length does not matter."""
    seen = features(lambda shape: Oracle(shape, length)).perceive(images([[0, 1], [2, 3], [4, 5]]))
    assert torch.allclose(seen, KEYPOINTS.unflatten(0, (3, 2)), atol=1e-3)


def test_features_and_origin_are_those_of_keypoints():
    by_image, by_keypoints = features(), PushTFeatures(2)
    seen = by_image.perceive(images([[0, 1], [2, 3]]))
    assert by_image.dim == by_keypoints.dim
    assert torch.equal(by_image(seen), by_keypoints(seen))
    assert torch.equal(by_image.origin(seen), seen[:, -1:, :2])


def test_the_loss_is_the_mean_error_of_pointer_and_corners():
    model = features()
    shown, offset = images(range(6)), torch.tensor([16.0, -32.0])
    assert model.loss({"scene": shown, "scene_keypoints": KEYPOINTS}) < 1e-5
    moved = KEYPOINTS.clone()
    moved[:, :2] += offset
    found = model.loss({"scene": shown, "scene_keypoints": moved})
    assert found.item() == pytest.approx(24 / UNIT, abs=1e-4)  # the mean of 16 and 32
    moved[:, 2:] += offset.repeat(8)
    assert model.loss({"scene": shown, "scene_keypoints": moved}).item() == pytest.approx(48 / UNIT, abs=1e-4)
    assert model.loss({"action": torch.zeros(3)}) is None


def test_the_network_learns_from_its_own_loss_alone():
    model = PushTImageFeatures(1)
    shown = images(range(6))
    assert not model.perceive(shown[:, None]).requires_grad
    loss = model.loss({"scene": shown, "scene_keypoints": KEYPOINTS})
    loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_positions_are_found_in_float32_whatever_surrounds_it():
    """A policy in bfloat16 keeps them, and mixed precision rounds what the convolutions give, not what is found."""
    model = features().to(torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.perceive(images([[0], [1]]))
    assert torch.allclose(seen, KEYPOINTS[:2, None], atol=1e-3)


@pytest.mark.parametrize("shape", [[18], [96, 96, 3], [3, 64, 64]])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"not that of Push-T's images, \[3, 96, 96\]"):
        PushTImageFeatures(2, observation_shape=shape)
