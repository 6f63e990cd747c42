import lightning as L
import pytest
import torch

from datamodules.text import Text, cut, new_paragraphs
from datamodules.tokenization import CharacterTokenizer, LearnedCharacterTokenizer
from networks.vocabulary import Vocabulary

PARAGRAPHS = [f"Paragraph {number} says {'abc' * number}." for number in range(60)]


def book(path, paragraphs=PARAGRAPHS):
    path.write_text("\n\n".join(paragraphs))
    return str(path)


def small(source, **options):
    return Text(
        **{"source": source, "tokenizer": LearnedCharacterTokenizer(), "block_size": 16, "batch_size": 4} | options
    )


def test_the_end_is_held_out_at_a_border_of_paragraphs(tmp_path):
    data = small(book(tmp_path / "book.txt"), val_share=0.2, test_share=0.1)
    data.setup()
    vocabulary = Vocabulary(data.tokenizer)
    parts = [
        vocabulary.decode([t.tolist()])[0] for t in (data.train_tokens, data.val_blocks.tokens, data.test_blocks.tokens)
    ]
    assert "\n\n".join(part.strip() for part in parts) == "\n\n".join(PARAGRAPHS)
    whole = sum(map(len, parts))
    assert [round(len(part) / whole, 1) for part in parts] == [0.7, 0.2, 0.1]


def test_paragraphs_that_are_trained_on_are_not_held_out(tmp_path):
    data = small(
        book(tmp_path / "book.txt", [*PARAGRAPHS[:50], *PARAGRAPHS[:5], *PARAGRAPHS[50:]]), val_share=0.3, test_share=0
    )
    data.setup()
    val = Vocabulary(data.tokenizer).decode([data.val_blocks.tokens.tolist()])[0]
    assert not any(paragraph in val for paragraph in PARAGRAPHS[:5])
    assert PARAGRAPHS[59] in val
    assert new_paragraphs(["a\n\nb\n\nc", "b"], ["x\n\n b "]) == ["a\n\nc", ""]


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (0, (["one two", "three"], [])),
        (3, (["one two", "th"], ["ree"])),
        (5, (["one two"], ["three"])),
        (7, (["one "], ["two", "three"])),
        (12, ([], ["one two", "three"])),
    ],
)
def test_documents_are_cut(count, parts):
    kept, end = cut(["one two", "three"], count)
    assert ([text for text in kept if text], end) == parts


def test_an_epoch_reads_the_text_once_from_another_token(tmp_path):
    data = small(book(tmp_path / "book.txt"))
    data.setup()
    loader = data.train_dataloader()
    rows = torch.cat([batch["tokens"] for batch in loader])
    assert rows.shape[1] == 17
    start = data._start()
    expected = {
        tuple(data.train_tokens[start + 16 * i : start + 16 * i + 17].tolist()) for i in range(len(loader.dataset))
    }
    assert {tuple(row) for row in rows.tolist()} <= expected
    assert len(loader) == len(loader.dataset) // 4
    assert len({small(data.hparams.source, seed=seed)._start() for seed in range(20)}) > 5


def test_rows_are_documents_and_their_splits_are_taken(tmp_path):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(f'{{"text": "{name} {i} of some length"}}\n' for i in range(20))
        )
    data = small(str(tmp_path), tokenizer=CharacterTokenizer())
    data.setup()
    vocabulary = Vocabulary(data.tokenizer)
    for name, tokens in {
        "train": data.train_tokens,
        "val": data.val_blocks.tokens,
        "test": data.test_blocks.tokens,
    }.items():
        text = vocabulary.decode([tokens.tolist()])[0]
        assert text.count(name) == 20, text
        assert (tokens == 2).sum() == 20
    one, other = (vocabulary.decode([data.train_tokens.tolist()])[0] for _ in range(2))
    assert one == other


def test_a_prompt_needs_no_text():
    data = Text("no/such", prompt="The with statement", tokenizer=LearnedCharacterTokenizer())
    data.setup("predict")
    assert data.vocab_size is None


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"block_size": 100_000}, "fewer than two blocks of block_size=100000"),
        ({"block_size": 0}, "block_size=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"val_share": 0.5, "test_share": 0.5}, "leave nothing to train on"),
        ({"val_share": 1.0}, "val_share=1.0"),
        ({"val_share": 0.002, "block_size": 300}, "raise val_share"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_what_does_not_fit_is_named(options, answer, tmp_path):
    with pytest.raises(ValueError, match=answer):
        small(book(tmp_path / "book.txt"), **options).setup()


def test_without_a_test_share_there_is_no_test(tmp_path):
    data = small(book(tmp_path / "book.txt"), test_share=0)
    data.setup()
    with pytest.raises(ValueError, match="test_share=0 holds no block"):
        data.test_dataloader()


class Reads(L.LightningModule):
    """Notes what it is given, and learns nothing."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch["tokens"])
        return self.weight * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_blocks_begin_elsewhere_in_each_epoch(tmp_path):
    data, module = small(book(tmp_path / "book.txt"), batch_size=2**31 - 1), Reads()
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    L.Trainer(accelerator="cpu", max_epochs=3, limit_val_batches=0, **quiet).fit(module, data)
    firsts = [{tuple(row) for row in batch.tolist()} for batch in module.seen]
    assert len(firsts) == 3
    assert firsts[0] != firsts[1]
