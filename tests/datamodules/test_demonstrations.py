import lightning as L
import pytest
import torch

from datamodules.demonstrations import Demonstrations
from lightning_modules.diffusion_policy import DiffusionPolicy
from networks.chunk_mlp import ChunkMLP
from networks.normalized_features import NormalizedFeatures
from tests.datamodules.lerobot_folders import CAMERA, SIZE, write_folder

BY_KEY = {"joints": "observation.state", "goal": "observation.goal"}


def small(shape):
    """An encoder: an image's mean in each channel."""

    class Mean(torch.nn.Module):
        dim = shape[0]

        def forward(self, images):
            return images.float().mean((2, 3)) / 255

    return Mean()


def network(horizon, action_dim, condition_dim):
    return ChunkMLP(horizon, action_dim, condition_dim, width=16, depth=1, encoder_width=16, encoder_depth=1)


def made(tmp_path, observation, **options):
    source = str(write_folder(tmp_path / "demos", "v3.0"))
    return Demonstrations(source, observation, horizon=4, batch_size=4, val_share=0.5, **options)


def test_shapes_are_known_before_anything_is_set_up(tmp_path):
    data = made(tmp_path, BY_KEY | {"top": CAMERA})
    assert data.observation_shape == {"joints": [3], "goal": [1], "top": [3, SIZE, SIZE]}
    assert data.action_dim == 2
    assert made(tmp_path / "other", ["observation.state", "observation.goal"]).observation_shape == [4]


def test_statistics_are_those_of_the_training_episodes(tmp_path):
    data = made(tmp_path, BY_KEY | {"top": CAMERA})
    with pytest.raises(ValueError, match=r"call setup\(.fit.\) first"):
        data.observation_statistics()
    data.setup("fit")
    rows = data.train_windows.first[0], data.train_windows.last[0] + 1
    steps = torch.arange(*map(float, rows))
    found = data.observation_statistics()
    assert found["top"] is None
    torch.testing.assert_close(found["goal"].mean, 10 * steps.mean()[None])
    torch.testing.assert_close(found["joints"].std, torch.tensor([*[steps.std(correction=0)] * 2, 1.0]))
    torch.testing.assert_close(data.action_statistics().mean, steps.mean() + torch.tensor([0.0, 0.5]))


@pytest.mark.parametrize("observation", ["observation.state", BY_KEY, {"top": CAMERA, "joints": "observation.state"}])
def test_a_policy_trains_on_them_and_acts(observation, tmp_path):
    torch.manual_seed(0)
    data = made(tmp_path, observation)

    def features(*sizes):
        return NormalizedFeatures(*sizes, image_encoder=small if CAMERA in str(observation) else None)

    policy = DiffusionPolicy(
        network, features, data.observation_shape, data.action_dim, horizon=4, n_action_steps=2, sampling_steps=2
    )
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"], False)
    trainer = L.Trainer(max_steps=3, accelerator="cpu", **quiet)
    trainer.fit(policy, data)
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert policy.action_scale.shape == (4, 2)
    shown = data.train_windows[0]["observation"]
    alone = policy.act(shown)
    assert alone.shape == (4, 2)
    assert alone.isfinite().all()
    if isinstance(observation, dict):
        arrays = {key: values.numpy() for key, values in reversed(shown.items())}  # keys in any order
        torch.manual_seed(1)
        ours = policy.act(shown)
        torch.manual_seed(1)
        assert policy.act(arrays).tolist() == ours.tolist()
        with pytest.raises(ValueError, match="each by its key; got a single array"):
            policy.act(torch.zeros(2, 3))
        with pytest.raises(ValueError, match=f"this policy observes {', '.join(observation)}, each by its key; got a"):
            policy.act({"a": torch.zeros(2, 3)})
