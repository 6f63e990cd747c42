import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from callbacks.resume.data_loader_state import DataLoaderState
from callbacks.resume.random_state import RandomState
from datamodules.pairs import BLOCK, EpochPairs, Pairs, similar_lengths
from datamodules.sorting import Sorting


def test_a_batch_is_padded_to_its_own_longest():
    pairs = Pairs.from_lists([[5], [6, 7, 8, 9], [4, 4]], [[5, 5], [6], [7]])
    batch = pairs.__getitems__([0, 2])
    assert batch["source"].tolist() == [[5, 0], [4, 4]]
    assert batch["source_mask"].tolist() == [[True, False], [True, True]]
    assert batch["target"].tolist() == [[5, 5], [7, 0]]
    assert batch["target_mask"].tolist() == [[True, True], [True, False]]
    assert pairs[1]["source"].tolist() == [6, 7, 8, 9]


def test_every_row_comes_once_and_neighbours_are_alike():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 100, (8 * BLOCK * 2 + 5,), generator=generator)
    order = similar_lengths(lengths, 8, generator)
    assert order.sort().values.tolist() == list(range(len(lengths)))
    batches = lengths[order][: 8 * BLOCK * 2].view(-1, 8)
    spread = batches.max(1).values - batches.min(1).values
    # 256 lengths of 1 to 99, sorted: eight neighbours span some 3, eight random ones some 78
    assert spread.float().mean() < 6
    assert not torch.equal(batches.float().mean(1).sort().values, batches.float().mean(1)), "batches come by length"
    assert not torch.equal(order, similar_lengths(lengths, 8, generator))


def test_rows_may_be_empty_and_there_may_be_none():
    pairs = Pairs.from_lists([[], [6, 7]], [[], []])
    batch = pairs.__getitems__([0, 1])
    assert batch["source"].tolist() == [[0, 0], [6, 7]]
    assert batch["source"].dtype == batch["target"].dtype == torch.long
    assert batch["target"].shape == (2, 0)
    assert len(Pairs.from_lists([], [])) == 0
    assert similar_lengths(torch.zeros(0, dtype=torch.long), 4).tolist() == []


def test_a_batch_may_be_larger_than_all_there_is():
    data = Sorting(train_size=20, val_size=10, test_size=10, batch_size=2**31 - 1)
    data.setup()
    assert [len(batch["source"]) for batch in data.train_dataloader()] == [20]
    assert [len(batch["source"]) for batch in data.val_dataloader()] == [10]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, (0, -1)) for name in ("batch_size", "train_size", "val_size", "test_size")),
        *((name, (10**30,)) for name in ("batch_size", "train_size", "val_size", "test_size")),
        ("seed", (-1, 2**32, 2**40)),  # 2**40 is the seed of the validation set
    ],
)
def test_numbers_out_of_range_are_named(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name}={value} must be"):
            Sorting(**{name: value}).setup()


def test_to_predict_no_other_data_are_made(monkeypatch):
    monkeypatch.setattr(Sorting, "make_held_out", lambda self: pytest.fail("made"))
    data = Sorting(numbers=[5, 3])
    data.setup("predict")
    assert len(list(data.predict_dataloader())) == 1


class Reads(L.LightningModule):
    """Notes the sources of each epoch of this run."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(1, 1), [[]]

    def on_train_epoch_end(self):
        self.seen.append([])

    def training_step(self, batch, batch_idx):
        self.seen[-1].append(batch["source"])
        return self.layer(batch["source"][:1, :1].float()).mean()

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches > 0  # asks for the loader before the first epoch
        return torch.optim.SGD(self.parameters(), 0.1)


def read(resume=None, **options) -> Reads:
    module, data = Reads(), Sorting(max_length=8, train_size=20, batch_size=8, val_size=4, test_size=4)
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    trainer = L.Trainer(accelerator="cpu", **quiet | options)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    assert trainer.reload_dataloaders_every_n_epochs == options.get("reload_dataloaders_every_n_epochs", 0)
    assert not module.seen.pop()
    return module


@pytest.mark.parametrize("options", [{}, {"reload_dataloaders_every_n_epochs": 1}])
def test_each_epoch_reads_its_own_pairs_in_their_order(options):
    """Whether the trainer asks for a new loader or not, which is its own affair."""
    data = Sorting(max_length=8, train_size=20, batch_size=8)
    seen = read(max_epochs=3, **options).seen
    assert len(seen) == 3
    for epoch, batches in enumerate(seen):
        pairs = data.train_pairs(epoch)
        expected = [pairs.__getitems__(range(first, first + 8))["source"] for first in (0, 8)]
        assert len(batches) == 2
        assert all(map(torch.equal, batches, expected)), epoch


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_resumed_epoch_goes_on_with_the_very_next_batch(step, tmp_path):
    """Within an epoch of two batches, at its end, and within the next."""

    def run(folder, resume=None):
        L.seed_everything(0 if resume is None else 1, verbose=False)
        keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1, save_on_train_epoch_end=False)
        callbacks = [RandomState(), DataLoaderState(), keep]
        seen = read(resume, max_epochs=3, callbacks=callbacks, enable_checkpointing=True).seen
        return [source.tolist() for batches in seen for source in batches]

    whole = run(tmp_path / "whole")
    assert len(whole) == 6
    assert run(tmp_path / "resumed", tmp_path / "whole" / f"step={step}.ckpt") == whole[step:]


def test_a_few_batches_to_overfit_are_the_same_in_every_epoch():
    seen = read(max_epochs=3, overfit_batches=2).seen
    for batches in seen[1:]:
        assert all(map(torch.equal, batches, seen[0]))


def test_an_epoch_is_drawn_once_and_when_it_is_read():
    drawn, now = [], [3]

    def draw(epoch):
        drawn.append(epoch)
        return Pairs.from_lists([[epoch + 4]] * 4, [[epoch + 4]] * 4)

    pairs = EpochPairs(draw, lambda: now[0], 4)
    assert (len(pairs), drawn) == (4, [])
    assert pairs.__getitems__([0, 1])["source"].tolist() == [[7], [7]]
    assert pairs[2]["source"].tolist() == [7]
    now[0] = 5
    assert pairs[0]["source"].tolist() == [9]
    assert drawn == [3, 5]


def test_the_size_of_the_vocabulary_is_known_at_once():
    data = Sorting()
    assert data.vocab_size == data.tokenizer.get_vocab_size() == 104
