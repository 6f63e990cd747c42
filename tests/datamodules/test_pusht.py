import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import demonstrations, sources
from datamodules.pusht import PushTDemos
from tests.datamodules.conftest import table


def test_augmentation_only_while_training(write_demonstrations):
    data = PushTDemos(write_demonstrations(), val_share=0.5, batch_size=8)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert data.on_after_batch_transfer(batch, 0) is batch


def test_episodes_are_split_whole(write_demonstrations):
    data = PushTDemos(write_demonstrations(), val_share=0.5)
    data.setup()
    assert sorted([len(data.train_windows), len(data.val_windows)]) == [30, 40]


def test_mirrored_and_plain_windows_come_from_the_same_rows(human_data):
    data = PushTDemos(human_data)
    data.setup()
    assert len(data.train_windows) + len(data.val_windows) == 25_650
    assert len(data.val_windows.first.unique()) == round(0.04 * 206)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": {"action": None}}, ["lacks the column action", "observation.state"]),
        ({"columns": {"action": [[1.0, 2.0, 3.0]] * 70}}, ["action", "(2,)"]),
        ({"columns": {"action": [[float("nan"), 0.0]] * 70}}, ["action", "not finite"]),
        ({"lengths": (3, 40), "pad_after": 0}, ["3 steps", "horizon=16"]),
        ({"pad_after": 16}, ["pad_after=16", "horizon=16"]),
        ({"val_share": 1.0}, ["val_share=1.0"]),
        ({"val_share": 0.9}, ["val_share=0.9", "2 episodes", "lower it"]),
    ],
)
def test_bad_data_is_named(write_demonstrations, options, words):
    source = write_demonstrations(lengths=options.pop("lengths", (40, 30)), **options.pop("columns", {}))
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        PushTDemos(source, **{"val_share": 0.5} | options).setup()
    assert all(word in str(caught.value) for word in words), caught.value


def test_missing_data_says_where_it_looked(monkeypatch, tmp_path):
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=f"FIRSTLIGHT_DATA={tmp_path}.*pusht"):
        sources.load("lerobot/pusht_keypoints")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"broken.parquet.* cannot be read"):
        sources.load(str(path))


def test_folder_wins_over_hub(monkeypatch, tmp_path):
    folder = tmp_path / "pusht"
    folder.mkdir()
    pq.write_table(table(), folder / "data.parquet")
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path))
    assert len(sources.load("lerobot/pusht_keypoints")) == 70


def test_one_demonstration(write_demonstrations):
    source = write_demonstrations(lengths=(40,))
    data = PushTDemos(source, val_share=0, batch_size=8)
    data.setup()
    assert len(data.train_windows) == 40
    assert data.val_dataloader() == []
    assert sum(len(batch["action"]) for batch in data.test_dataloader()) == 40
    with pytest.raises(ValueError, match=r"val_share=0\.04 leaves none of 1 episodes .* 0 holds nothing out"):
        PushTDemos(source).setup()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("batch_size", [1, 2**31 - 1], [0, -1, 2**100]),
        ("n_obs_steps", [1, 10_000], [0, -1, 2**31]),
        ("horizon", [1, 64], [0, -1, 2**31]),
        ("pad_after", [0, 1, 15], [-1, 16, 2**31]),
        ("val_share", [0, 0.5], [1, -1, float("nan"), float("inf"), 0.99]),
        ("split_seed", [0, 1, 2**62], [-1, 2**100]),
    ],
)
def test_numbers_at_their_edges(name, good, bad, write_demonstrations):
    source = write_demonstrations(lengths=(40,) * 4)
    for value in good:
        data = PushTDemos(source, **{name: value})
        data.setup()
        assert len(next(iter(data.train_dataloader()))["action"])
    for value in bad:
        with pytest.raises(ValueError, match=f"^{name}={value} "):
            PushTDemos(source, **{name: value}).setup()


@pytest.mark.parametrize("options", [{}, {"mirror": False, "align_ends": True}, {"pad_after": 0}, {"horizon": 50}])
def test_the_scale_of_actions_is_their_root_mean_square(options, write_demonstrations, monkeypatch):
    """By the slow road: one window and step at a time, whatever windows are measured at once."""

    def pointer(observation):
        return observation[:, -1:, :2]

    data = PushTDemos(write_demonstrations(lengths=(60, 55, 70)), val_share=0.3, **options)
    with pytest.raises(ValueError, match=r'not read yet; call setup\("fit"\) first'):
        data.action_scale(pointer)
    data.setup("fit")
    squares = [[] for _ in range(data.horizon)]
    for number in range(len(data.train_windows)):
        window = data.train_windows[number]
        for step, (action, is_pad) in enumerate(zip(window["action"], window["action_is_pad"], strict=True)):
            if not is_pad:
                squares[step].append(((action - window["observation"][-1, :2]).double() ** 2).tolist())
    expected = [np.mean(own, 0) ** 0.5 if own else [0, 0] for own in squares]
    for part in (1, 2**18):
        monkeypatch.setattr(demonstrations, "PART", part)
        state = torch.get_rng_state()
        scale = data.action_scale(pointer)
        assert torch.equal(torch.get_rng_state(), state)
        assert scale.shape == (data.horizon, 2)
        np.testing.assert_allclose(scale, expected, rtol=1e-6)
