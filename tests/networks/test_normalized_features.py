import pytest
import torch
from torch import nn

from networks.normalized_features import NormalizedFeatures
from networks.observation_features import Statistics


class Brightness(nn.Module):
    """An image's mean in each channel."""

    def __init__(self, shape):
        super().__init__()
        self.dim = shape[0]

    def forward(self, images):
        assert images.dtype == torch.uint8
        return images.float().mean((2, 3))


def measured(features, *observations):
    features.measure(
        {key: None if x.ndim == 5 else Statistics(x.mean((0, 1)), x.std((0, 1))) for key, x in observations[0].items()},
        Statistics(torch.tensor([3.0, -1.0]), torch.ones(2)),
    )
    return features


def test_numbers_are_standardised_key_by_key_and_step_after_step():
    seen = {"joints": torch.randn(50, 2, 3) * 7 + 5, "goal": torch.rand(50, 2, 1)}
    features = measured(NormalizedFeatures(2, {"joints": [3], "goal": [1]}, 2), seen)
    given = features(seen)
    assert given.shape == (50, features.dim) == (50, 8)
    whole = torch.cat([(x - x.mean((0, 1))) / x.std((0, 1)) for x in seen.values()], -1)
    torch.testing.assert_close(given, whole.flatten(1))


def test_images_go_through_an_encoder_of_their_own():
    seen = {"image": torch.randint(256, (4, 2, 3, 8, 6), dtype=torch.uint8), "joints": torch.randn(4, 2, 5)}
    features = measured(NormalizedFeatures(2, {"image": [3, 8, 6], "joints": [5]}, 2, Brightness), seen)
    given = features(seen)
    assert given.shape == (4, features.dim) == (4, 16)
    torch.testing.assert_close(given[:, 10:], seen["image"].float().mean((3, 4)).flatten(1))


def test_actions_are_relative_to_their_mean():
    seen = {"joints": torch.randn(4, 1, 3)}
    features = measured(NormalizedFeatures(1, {"joints": [3]}, 2), seen)
    torch.testing.assert_close(features.origin(seen), torch.tensor([3.0, -1.0]).expand(4, 1, 2))
    scale = features.action_scale(torch.tensor([[2.0, 0.5], [0.0, 0.0]]))
    assert scale.tolist() == [[2.0, 0.5], [1.0, 1.0]]


def test_statistics_are_exact_in_half_precision():
    seen = {"joints": torch.full((4, 1, 3), 1000.25) + torch.randn(4, 1, 3)}
    features = measured(NormalizedFeatures(1, {"joints": [3]}, 2), seen)
    expected = features(seen)
    assert torch.equal(features.to(torch.bfloat16)(seen), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((2,), "observation_shape=None, action_dim=None: both follow from the data"),
        ((2, [3]), "observation_shape=.3., action_dim=None"),
        ((2, [3, 4], 2), r"observation_shape=\[3, 4\]: each must be \(n,\) numbers or the \(C, H, W\)"),
        ((2, [3, 8, 8], 2), "holds images; name an image_encoder"),
        ((2, {"a": [3], "b": [3, 8, 8]}, 2), "holds images; name an image_encoder"),
        ((0, [3], 2), "n_obs_steps=0"),
        ((2, [0], 2), "observation_shape=0"),
        ((2, [3], 0), "action_dim=0"),
    ],
)
def test_mistakes_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        NormalizedFeatures(*arguments)
