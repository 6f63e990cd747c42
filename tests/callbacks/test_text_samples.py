import pytest
import torch

from callbacks.text_samples import TextSamples
from lightning_modules.sequence_tagger import SequenceTagger


class Half(SequenceTagger):
    """Answers right where a list starts with a number below 50, and with its source otherwise."""

    def generate(self, source, source_mask=None, max_new_tokens=None):
        ordered = source.masked_fill(~source_mask, 1000).sort(1).values.masked_fill(~source_mask, 0)
        return torch.where(source[:, :1] < 54, ordered, source)


def half() -> Half:
    return Half(vocab_size=104, width=16, depth=1, heads=2)


def test_samples_say_what_is_right(sorting):
    module = half()
    module.vocabulary.adopt(sorting.tokenizer)
    callback = TextSamples(20)
    batch = callback.samples(sorting)
    assert len(batch["source"]) == 20
    lines = callback.table(module, batch).splitlines()[2:]
    for line, source, mask in zip(lines, batch["source"], batch["source_mask"], strict=True):
        numbers = (source[mask] - 4).tolist()
        right = numbers[0] < 50 or numbers == sorted(numbers)
        answer = sorted(numbers) if right else numbers
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        texts = [" ".join(map(str, row)) for row in (numbers, sorted(numbers), answer)]
        assert cells == [*texts, "right" if right else "**wrong**"]


def test_no_more_samples_than_there_are(sorting):
    assert len(TextSamples(100).samples(sorting)["source"]) == 40
    with pytest.raises(ValueError, match="count=0"):
        TextSamples(0)


def test_samples_reach_tensorboard(sorting, fitted):
    events = fitted(half(), sorting, TextSamples(4))
    (event,) = events.Tensors("val/samples/text_summary")
    assert event.step == 2
    assert event.tensor_proto.string_val[0].decode().count("\n") == 5
