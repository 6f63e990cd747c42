from functools import partial

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from callbacks.attention_maps import AttentionMaps
from callbacks.text_samples import TextSamples
from callbacks.validation_rows import validation_rows
from lightning_modules.sequence_tagger import SequenceTagger
from networks.transformer import Encoder
from networks.vocabulary import with_eos


class Half(SequenceTagger):
    """Answers right where a list starts with a number below 50, and does not end with its source otherwise."""

    def _generate(self, source, source_mask, max_new_tokens):
        ordered = source.masked_fill(~source_mask, 1000).sort(1).values
        return torch.where(source[:, :1] < 54, with_eos(ordered, source_mask), F.pad(ordered * source_mask, (0, 1)))


class Sample(L.Callback):
    """Notes the rows that validation would show, and what that changes."""

    def __init__(self, count):
        self.count, self.rows, self.changed = count, [], []

    def on_validation_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == 0:
            before = torch.get_rng_state()
            self.rows.append(validation_rows(trainer, batch, self.count))
            TextSamples(2).rows(module, self.rows[-1])
            AttentionMaps().figures(module, {name: value[:1] for name, value in self.rows[-1].items()})
            self.changed.append(not torch.equal(before, torch.get_rng_state()))


def sampled(count, module, *data):
    sample = Sample(count)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    L.Trainer(accelerator="cpu", callbacks=[sample], **quiet).validate(module, *data, verbose=False)
    assert sample.changed == [False]
    return sample.rows[0]


def half() -> Half:
    return Half(104, partial(Encoder, width=16, depth=1, heads=2))


def test_samples_say_what_is_right(sorting):
    """Right is what is right to the last token and ends there."""
    batch = sampled(20, half(), sorting)
    assert len(batch["source"]) == 20
    module = half()
    module.vocabulary.adopt(sorting.tokenizer)
    rows = TextSamples().rows(module, batch)
    for row, source, mask in zip(rows, batch["source"], batch["source_mask"], strict=True):
        numbers = (source[mask] - 4).tolist()
        texts = [" ".join(map(str, line)) for line in (numbers, sorted(numbers), sorted(numbers))]
        assert row == (*texts, "right" if numbers[0] < 50 else "wrong")


def test_no_more_samples_than_there_are(sorting):
    assert len(sampled(100, half(), sorting)["source"]) == 40
    with pytest.raises(ValueError, match="count=0"):
        TextSamples(0)


def test_samples_are_spread_over_the_set_and_its_middle_is_the_one(sorting):
    source = sorting.val_pairs.source
    assert (
        sampled(1, half(), sorting)["source"].tolist() == source[20:21, : sorting.val_pairs.source_lengths[20]].tolist()
    )
    assert sampled(4, half(), sorting)["source"].shape[0] == 4


def test_any_loader_will_do(sorting):
    """One of batches that were made before, without a datamodule."""
    module = half()
    module.vocabulary.adopt(sorting.tokenizer)
    loader = DataLoader([sorting.val_pairs.__getitems__([3, 4, 5])], batch_size=None)
    assert sampled(2, module, loader)["source"].tolist() == sorting.val_pairs.__getitems__([3, 5])["source"].tolist()


def test_without_a_tokenizer_it_says_so(sorting):
    loader = DataLoader([sorting.val_pairs.__getitems__([3])], batch_size=None)
    with pytest.raises(ValueError, match=r"vocabulary\.adopt"):
        sampled(2, half(), loader)


def test_samples_reach_tensorboard(sorting, fitted):
    events = fitted(half(), sorting, TextSamples(4))
    (event,) = events.Tensors("val/samples/text_summary")
    assert event.step == 2
    assert event.tensor_proto.string_val[0].decode().count("\n") == 5
