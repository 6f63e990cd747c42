import pytest
import torch

from datamodules.episodes import Episodes
from datamodules.windows import Windows


@pytest.fixture
def demos():
    """Two episodes, of 5 and 4 steps, whose numbers tell their step."""
    steps = torch.arange(9.0)
    return Episodes(
        steps[:, None].repeat(1, 18), steps[:, None].repeat(1, 2), torch.tensor([0, 5]), torch.tensor([5, 9])
    )


def test_windows_repeat_the_ends_and_say_what_is_padding(demos):
    windows = Windows(demos, torch.arange(2), n_obs_steps=2, horizon=3, pad_after=2)
    assert len(windows) == 9
    batch = windows.__getitems__([0, 4, 5, 7])
    assert batch["observation"][..., 0].tolist() == [[0, 0], [3, 4], [5, 5], [6, 7]]
    assert batch["action"][..., 0].tolist() == [[0, 1, 2], [4, 4, 4], [5, 6, 7], [7, 8, 8]]
    assert batch["action_is_pad"].tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]]


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


def test_observations_by_key_have_the_same_windows(demos):
    images = torch.arange(9, dtype=torch.uint8)[:, None, None, None].expand(9, 3, 2, 2)
    by_key = Episodes({"top": images, "joints": demos.observations}, demos.actions, demos.starts, demos.ends)
    sizes = (torch.arange(2), 2, 3, 2)
    batch, plain = (Windows(one, *sizes).__getitems__([0, 4, 7]) for one in (by_key, demos))
    assert torch.equal(batch["observation"]["joints"], plain["observation"])
    assert torch.equal(batch["observation"]["top"][..., 0, 0, 0].float(), plain["observation"][..., 0])
    assert batch["observation"]["top"].dtype == torch.uint8
    single = Windows(by_key, *sizes)[4]
    assert torch.equal(single["observation"]["top"], batch["observation"]["top"][1])
    assert Windows(by_key, *sizes).nbytes - Windows(demos, *sizes).nbytes == 9 * 3 * 2 * 2


def test_moving_windows_moves_all_that_they_read(demos):
    by_key = Episodes({"joints": demos.observations}, demos.actions, demos.starts, demos.ends)
    moved = Windows(by_key, torch.arange(2), 2, 3, 2).to("meta")
    batch = moved.__getitems__([0, 1])
    assert {batch["observation"]["joints"].device.type, batch["action"].device.type, batch["index"].device.type} == {
        "meta"
    }
