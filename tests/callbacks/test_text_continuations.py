from functools import partial

import pytest

from callbacks.text_continuations import TextContinuations
from datamodules.text import Text
from datamodules.tokenization import LearnedCharacterTokenizer
from lightning_modules.language_model import LanguageModel
from lightning_modules.sequence_tagger import SequenceTagger
from networks.transformer import Decoder, Encoder


@pytest.fixture
def text(tmp_path) -> Text:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"Line {number} of a book.\n" for number in range(200)))
    data = Text(str(path), tokenizer=LearnedCharacterTokenizer(), block_size=16, batch_size=8, val_share=0.1)
    data.setup()
    return data


def test_rows_are_beginnings_what_follows_and_what_the_model_writes(text):
    model = LanguageModel(text.vocab_size, partial(Decoder, width=16, depth=1, heads=2, max_length=24))
    model.vocabulary.adopt(text.tokenizer)
    batch = text.val_blocks.__getitems__([0, 3])
    rows = TextContinuations(prompt_tokens=6, max_new_tokens=5).rows(model, batch)
    texts = model.vocabulary.decode(batch["tokens"])
    assert [row[:2] for row in rows] == [(line[:6], line[6:11]) for line in texts]
    assert [row[0] + row[2] for row in rows] == model.write(
        [line[:6] for line in texts], max_new_tokens=5, temperature=0.8
    )
    (whole, *_) = TextContinuations(prompt_tokens=100).rows(model, batch)
    assert whole[0] == texts[0][:16]


def test_they_reach_tensorboard(text, fitted):
    model = LanguageModel(text.vocab_size, partial(Decoder, width=16, depth=1, heads=2, max_length=24))
    (event,) = fitted(model, text, TextContinuations(3, 6, 5)).Tensors("val/samples/text_summary")
    assert event.tensor_proto.string_val[0].decode().count("\n") == 4


def test_a_module_that_writes_nothing_is_refused(text, fitted):
    with pytest.raises(ValueError, match="go_on"):
        fitted(SequenceTagger(text.vocab_size, Encoder), text, TextContinuations())


def test_pairs_are_refused(sorting, fitted):
    model = LanguageModel(sorting.vocab_size, partial(Decoder, width=16, depth=1, heads=2, max_length=24))
    with pytest.raises(ValueError, match="these data are pairs"):
        fitted(model, sorting, TextContinuations())
