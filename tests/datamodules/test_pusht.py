import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import pusht, sources
from datamodules.pusht import Demonstrations, PushTDemos, Windows, aligned, mirror
from envs import t_block
from envs.pusht import PushT


@pytest.fixture
def demos():
    """Two episodes, of 5 and 4 steps, whose numbers tell their step."""
    steps = torch.arange(9.0)
    return Demonstrations(
        steps[:, None].repeat(1, 18), steps[:, None].repeat(1, 2), torch.tensor([0, 5]), torch.tensor([5, 9])
    )


def table(lengths=(40, 30), **changes):
    rng = np.random.default_rng(0)
    n = sum(lengths)
    pose = np.stack([rng.uniform(200, 300, n), rng.uniform(200, 300, n), rng.uniform(0, 6, n)], 1)
    columns = {
        "observation.state": rng.uniform(50, 450, (n, 2)).astype(np.float32).tolist(),
        "observation.environment_state": t_block.corners(pose).reshape(n, 16).astype(np.float32).tolist(),
        "action": rng.uniform(50, 450, (n, 2)).astype(np.float32).tolist(),
        "episode_index": np.repeat(np.arange(len(lengths)), lengths).tolist(),
    } | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


@pytest.fixture
def write(tmp_path):
    def write(**options) -> str:
        path = tmp_path / "demos.parquet"
        pq.write_table(table(**options), path)
        return str(path)

    return write


def test_windows_repeat_the_ends_and_say_what_was_taken(demos):
    windows = Windows(demos, torch.arange(2), n_obs_steps=2, horizon=3, pad_after=2)
    assert len(windows) == 9
    batch = windows.__getitems__([0, 4, 5, 7])
    assert batch["observation"][..., 0].tolist() == [[0, 0], [3, 4], [5, 5], [6, 7]]
    assert batch["action"][..., 0].tolist() == [[0, 1, 2], [4, 4, 4], [5, 6, 7], [7, 8, 8]]
    assert batch["taken"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 1, 0]]


def test_without_padding_windows_end_with_their_episode(demos):
    windows = Windows(demos, torch.tensor([1]), n_obs_steps=1, horizon=3, pad_after=0)
    batch = windows.__getitems__(range(len(windows)))
    assert batch["action"][..., 0].tolist() == [[5, 6, 7], [6, 7, 8]]


def test_single_items_equal_batches(demos):
    windows = Windows(demos, torch.arange(2), 2, 3, 2)
    batch = windows.__getitems__([3, 6])
    for i, index in enumerate([3, 6]):
        for name, values in windows[index].items():
            assert torch.equal(values, batch[name][i])


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


def test_aligned_episodes_end_on_the_target_and_keep_their_shape(write):
    demos = pusht.read_demonstrations(write())
    moved = aligned(demos)
    ends = moved.observations[demos.ends - 1, 2:].unflatten(-1, (8, 2)).numpy()
    np.testing.assert_allclose(ends, np.broadcast_to(t_block.corners(t_block.TARGET_POSE), ends.shape), atol=1e-3)
    for before, after in [(demos, moved)]:  # a rigid motion keeps every distance, also between actions and corners

        def distances(d):
            points = torch.cat([d.observations, d.actions], 1).unflatten(-1, (-1, 2))
            return torch.cdist(points, points)

        torch.testing.assert_close(distances(before), distances(after), rtol=1e-4, atol=1e-2)


def test_augmentation_only_while_training(write):
    data = PushTDemos(write(), val_share=0.5, batch_size=8)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert data.on_after_batch_transfer(batch, 0) is batch


def test_episodes_are_split_whole(write):
    data = PushTDemos(write(), val_share=0.5)
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
def test_bad_data_is_named(write, options, words):
    source = write(lengths=options.pop("lengths", (40, 30)), **options.pop("columns", {}))
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


def test_several_sources_follow_one_another(tmp_path):
    paths = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    for path, lengths in zip(paths, [(20,), (30, 25)], strict=True):
        pq.write_table(table(lengths), path)
    both, parts = pusht.read_demonstrations(paths), [pusht.read_demonstrations(path) for path in paths]
    assert both.lengths.tolist() == [20, 30, 25]  # both files begin with an episode 0
    assert torch.equal(both.actions, torch.cat([part.actions for part in parts]))
    assert torch.equal(both.observations[both.starts[1] : both.ends[1]], parts[1].observations[:30])
    with pytest.raises(ValueError, match="names no demonstrations"):
        pusht.read_demonstrations([])


def in_order(path, lengths, first=0):
    """A file whose actions tell their step, with frames; returns its columns."""
    n = sum(lengths)
    steps = np.arange(n, dtype=np.float32)
    columns = {
        "action": np.stack([steps, steps], 1).tolist(),
        "episode_index": np.repeat(np.arange(len(lengths)) + first, lengths).tolist(),
        "frame_index": np.concatenate([np.arange(length) for length in lengths]).tolist(),
    }
    rows = table(lengths, **columns)
    pq.write_table(rows, path)
    return rows


def test_files_that_each_begin_with_episode_0_are_episodes_of_their_own(tmp_path):
    for name, lengths in (("part-10", (7,)), ("part-2", (5, 6)), ("more", (4,))):
        in_order(tmp_path / f"{name}.parquet", lengths)
    demos = pusht.read_demonstrations(str(tmp_path))
    assert demos.lengths.tolist() == [4, 5, 6, 7]
    steps = [torch.arange(n) for n in (4, 11, 7)]
    assert torch.equal(demos.actions[:, 0], torch.cat(steps).float())


@pytest.mark.parametrize("way", ["shuffled", "interleaved", "backwards"])
def test_rows_in_any_order_are_the_same_episodes(way, tmp_path):
    rows = in_order(tmp_path / "demos.parquet", (20, 30, 25))
    expected = pusht.read_demonstrations(str(tmp_path / "demos.parquet"))
    order = {
        "shuffled": np.random.default_rng(0).permutation(75),
        "interleaved": np.argsort(rows["frame_index"].to_numpy(), kind="stable"),
        "backwards": np.arange(75)[::-1],
    }[way]
    pq.write_table(rows.take(pa.array(order)), tmp_path / "demos.parquet")
    read = pusht.read_demonstrations(str(tmp_path / "demos.parquet"))
    for name in ("observations", "actions", "starts", "ends"):
        assert torch.equal(getattr(read, name), getattr(expected, name)), name


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([0, 1, 3, 4], "episode 7 of .* has 4 rows with frame_index from 0 to 4; .* must count from 0, each once"),
        ([1, 2, 3, 4], "has 4 rows with frame_index from 1 to 4"),
        ([0, 1, 1, 2], "has 4 rows with frame_index from 0 to 2"),
        ([-1, 0, 1, 2], "has 4 rows with frame_index from -1 to 2"),
        ([0.0, 1.0, 2.0, 3.0], "column frame_index .* must hold whole numbers"),
        ([0, 1, None, 3], "column frame_index .* must hold whole numbers"),
    ],
)
def test_steps_that_are_missing_or_there_twice_are_named(frames, words, write):
    with pytest.raises(ValueError, match=words):
        pusht.read_demonstrations(write(lengths=(4,), frame_index=frames, episode_index=[7] * 4))


def test_episodes_among_one_another_without_frames_are_named(write):
    with pytest.raises(ValueError, match="lie among one another, and no column frame_index says"):
        pusht.read_demonstrations(write(lengths=(4,), episode_index=[0, 1, 0, 1]))


def test_the_bundled_and_the_human_episodes_are_what_they_were(human_data):
    """Their rows lie in order: nothing moves."""
    for source, episodes, steps in (("bundled", 422, 32_362), (human_data, 206, 25_650)):
        demos = pusht.read_demonstrations(source)
        assert (len(demos.starts), len(demos.actions)) == (episodes, steps)
    rows = sources.load(human_data).with_format("numpy")[:]
    np.testing.assert_array_equal(demos.actions, rows["action"])
    np.testing.assert_array_equal(demos.starts[1:], np.flatnonzero(np.diff(rows["episode_index"])) + 1)


def test_one_demonstration(write):
    source = write(lengths=(40,))
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
def test_numbers_at_their_edges(name, good, bad, write):
    source = write(lengths=(40,) * 4)
    for value in good:
        data = PushTDemos(source, **{name: value})
        data.setup()
        assert len(next(iter(data.train_dataloader()))["action"])
    for value in bad:
        with pytest.raises(ValueError, match=f"^{name}={value} "):
            PushTDemos(source, **{name: value}).setup()
