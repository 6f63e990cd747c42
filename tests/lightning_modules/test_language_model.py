"""Free text; what a language model shares with other sequence models is tested in test_sequence_models.py."""

import math
from functools import partial

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from datamodules.text import Text
from datamodules.tokenization import ByteLevelBPETokenizer, LearnedCharacterTokenizer
from decoding.generation_config import GenerationConfig
from lightning_modules.language_model import LanguageModel
from networks.transformer import Decoder
from networks.vocabulary import SPECIAL

TINY = {"width": 32, "depth": 1, "heads": 2, "max_length": 32}
LETTERS = "abcdefghijklmnopqrstuvwxyz "
VERSE = "Twinkle, twinkle, little star, how I wonder what you are. "


def trainer(**options):
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    return L.Trainer(accelerator="cpu", **quiet | options)


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(VERSE * 40)
    return str(path)


def model(vocab_size, **options):
    torch.manual_seed(0)
    return LanguageModel(vocab_size, partial(Decoder, **TINY), **options)


def text(book, **options):
    return Text(
        **{
            "source": book,
            "tokenizer": LearnedCharacterTokenizer(),
            "block_size": 32,
            "batch_size": 8,
            "val_share": 0.1,
            "test_share": 0.1,
        }
        | options
    )


def test_the_loss_is_the_cross_entropy_of_every_token_given_those_before_it():
    module, tokens = model(20).eval(), torch.randint(SPECIAL, 20, (3, 9), generator=torch.Generator().manual_seed(0))
    loss, accuracy, count = module._loss({"tokens": tokens})
    total, right = 0.0, 0
    for row in tokens:
        for place in range(1, 9):
            logits = module.network(row[None, :place])[0, -1]
            total += F.cross_entropy(logits, row[place]).item()
            right += int(logits.argmax() == row[place])
    assert count == 24
    assert loss.item() == pytest.approx(total / 24, rel=1e-5)
    assert accuracy.item() == pytest.approx(right / 24)


@pytest.mark.parametrize("tokenizer", [LearnedCharacterTokenizer(), ByteLevelBPETokenizer(270)])
def test_bits_per_character_are_all_bits_over_all_characters(tokenizer, book):
    """Over batches of different sizes; by hand from log probabilities and the texts of the blocks."""
    data = text(book, tokenizer=tokenizer, batch_size=3)
    module = model(data.vocab_size)
    metrics = trainer().validate(module, data, verbose=False)[0]
    nats, tokens, characters = 0.0, 0, 0
    with torch.no_grad():
        for index in range(len(data.val_blocks)):
            row = data.val_blocks[index]["tokens"]
            steps = module.eval().network(row[None, :-1])[0].log_softmax(-1)
            nats -= steps.gather(1, row[1:, None]).sum().item()
            tokens += len(row) - 1
            characters += len(module.vocabulary.decode([row[1:].tolist()])[0])
    assert metrics["val/loss"] == pytest.approx(nats / tokens, rel=1e-4)
    assert metrics["val/bits_per_character"] == pytest.approx(nats / math.log(2) / characters, rel=1e-4)
    assert metrics.keys() == {"val/loss", "val/token_accuracy", "val/bits_per_character"}
    test = trainer().test(module, data, verbose=False)[0]
    assert test.keys() == {"test/loss", "test/token_accuracy", "test/bits_per_character"}


def test_the_alphabet_is_learned_and_gone_on_with(tmp_path):
    path = tmp_path / "letters.txt"
    path.write_text(LETTERS * 80)
    data = text(str(path))
    module = model(data.vocab_size, lr=1e-2, generation_config=GenerationConfig(max_new_tokens=12))
    trainer(max_epochs=25, limit_val_batches=0).fit(module, data)
    assert module.write(["uvw"], max_new_tokens=12) == ["uvwxyz abcdefgh"]
    prompt = text("no/such", prompt="uvw")
    assert trainer().predict(module, prompt) == [["uvwxyz abcdefgh"]]


def test_what_is_drawn_follows_from_its_seed(book):
    data = text(book)
    module = model(data.vocab_size)
    module.vocabulary.adopt(data.tokenizer)
    prompts = ["Twinkle", "star, how"]

    def drawn(**options):
        return module.write(prompts, max_new_tokens=8, temperature=1.0, top_p=0.9, **options)

    assert drawn(seed=1) == drawn(seed=1) != drawn(seed=2)
    assert [
        module.write([prompt], max_new_tokens=8, temperature=1.0, top_p=0.9, first_row=row)[0]
        for row, prompt in enumerate(prompts)
    ] == drawn()
    assert all(written.startswith(prompt) for prompt, written in zip(prompts, drawn(), strict=True))
    assert module.write([]) == []
    with pytest.raises(ValueError, match="a prompt is empty"):
        module.write(["Twinkle", ""])
    with pytest.raises(ValueError, match=r"a prompt of 58 tokens is too long.*max_length=32"):
        module.write([VERSE])


def test_text_and_pairs_are_learned_by_the_same_weights():
    """A model that has read free text answers questions from there on."""
    module = model(20)
    source = torch.full((2, 3), 5)
    mask = torch.ones_like(source, dtype=torch.bool)
    pairs = {"source": source, "source_mask": mask, "target": source, "target_mask": mask}
    for batch in (pairs, {"tokens": torch.full((2, 9), 5)}):
        loss, _, _ = module._loss(batch)
        loss.backward()
    assert module.network.embedding.weight.grad.isfinite().all()
