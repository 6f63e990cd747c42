"""What holds of all three sequence models; their networks are tested in tests/networks."""

import math
from functools import partial
from typing import NamedTuple

import lightning as L
import pytest
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader

from checkpoints.load_trained import load_trained
from lightning_modules.language_model import LanguageModel
from lightning_modules.seq2seq import Seq2Seq
from lightning_modules.sequence_model import packed
from lightning_modules.sequence_tagger import SequenceTagger
from networks.transformer import AnswerDecoder, Decoder, Encoder, EncoderDecoder
from networks.vocabulary import BOS, EOS, PAD, SEP, SPECIAL, with_eos
from optim.lr_schedule import Constant
from tests.networks.test_positions import POSITIONS
from tests.networks.test_vocabulary import tokenizer

WORDS = [f"w{i}" for i in range(12)]
VOCABULARY = SPECIAL + len(WORDS)
TINY = {"width": 32, "depth": 2, "heads": 2, "max_length": 24}
NETWORKS = {Seq2Seq: EncoderDecoder, LanguageModel: AnswerDecoder, SequenceTagger: Encoder}
EVERY_MODEL = pytest.mark.parametrize("model", [Seq2Seq, LanguageModel, SequenceTagger])


def tiny(model, vocab_size=VOCABULARY, lr=1e-3, lr_schedule=None, text_metrics=None, generation_config=None, **options):
    """A module with a tiny network of its default class, with these options of the network."""
    more = {"text_metrics": text_metrics, "generation_config": generation_config}
    given = {name: value for name, value in more.items() if value is not None}
    return model(vocab_size, partial(NETWORKS[model], **TINY | options), lr, lr_schedule=lr_schedule, **given)


def rows(n=8, longest=6, seed=0):
    """Ragged sequences, and each of them backwards."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, longest + 1, (n,), generator=generator)
    lengths[0] = longest
    source = torch.zeros(n, longest, dtype=torch.long)
    target = source.clone()
    for row, length in enumerate(lengths.tolist()):
        source[row, :length] = torch.randint(SPECIAL, VOCABULARY, (length,), generator=generator)
        target[row, :length] = source[row, :length].flip(0)
    return {"source": source, "source_mask": source != PAD, "target": target, "target_mask": target != PAD}


class Backwards(L.LightningDataModule):
    def __init__(self, batches=4, words=WORDS):
        super().__init__()
        self.tokenizer = tokenizer(words)
        self.batches = [rows(seed=seed) for seed in range(batches)]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class TwoTests(Backwards):
    test_names = ("short", "long")

    def test_dataloader(self):
        return [DataLoader([rows(longest=longest)], batch_size=None) for longest in (4, 10)]


def trainer(**options):
    return L.Trainer(
        accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, **{"logger": False, **options}
    )


def by_heart(model, steps=250, **options):
    """A model that was trained on one batch until it knows it."""
    torch.manual_seed(0)
    module = tiny(model, lr=3e-3, **options)
    trainer(max_steps=steps, enable_checkpointing=False, limit_val_batches=0).fit(module, Backwards(1))
    return module.eval()


@pytest.fixture(scope="module", params=[Seq2Seq, LanguageModel, SequenceTagger])
def taught(request):
    return by_heart(request.param)


def test_one_batch_is_learned_by_heart(taught):
    metrics = trainer(enable_checkpointing=False).validate(taught, Backwards(1), verbose=False)[0]
    assert metrics["val/exact_match"] == 1
    assert metrics["val/token_accuracy"] == 1
    assert metrics["val/loss"] < 0.1


def test_answers_are_text_and_know_no_neighbours(taught):
    batch = rows()
    texts = taught.vocabulary.decode(batch["source"])
    expected = taught.vocabulary.decode(batch["target"])
    assert taught.answer(texts) == expected
    assert [taught.answer([text])[0] for text in texts] == expected
    assert trainer(enable_checkpointing=False).predict(taught, Backwards(1)) == [expected]


def test_exact_match_counts_the_end_and_every_token(taught):
    assert taught._exact(rows()).tolist() == [1.0] * 8
    batch = rows()
    shorter, longer = batch["target_mask"].sum(1).argmin(), batch["target_mask"].sum(1).argmax()
    batch["target"][longer, -1] = SPECIAL + (batch["target"][longer, -1] - SPECIAL + 1) % len(WORDS)
    expected = torch.ones(8)
    expected[longer] = 0
    if not isinstance(taught, SequenceTagger):  # its answers are always as long as the source
        batch["target_mask"][shorter, 1:] = False  # the right beginning, but the answer goes on
        expected[shorter] = 0
    assert taught._exact(batch).tolist() == expected.tolist()


def test_the_loss_is_the_cross_entropy_of_the_answer(taught):
    """Row by row, without padding, from log probabilities."""
    batch, total, count = rows(seed=5), 0.0, 0
    loss, accuracy, tokens = taught._loss(batch)
    hits = 0
    for row in range(8):
        s = batch["source"][row][batch["source_mask"][row]].tolist()
        t = batch["target"][row][batch["target_mask"][row]].tolist()
        if isinstance(taught, Seq2Seq):
            logits, labels = taught.network(torch.tensor([[BOS, *s]]), torch.tensor([[BOS, *t]]))[0], [*t, EOS]
        elif isinstance(taught, LanguageModel):
            logits, labels = taught.network(torch.tensor([[*s, SEP, *t]]))[0, len(s) :], [*t, EOS]
        else:
            logits, labels = taught.network(torch.tensor([[BOS, *s]]))[0, 1:], t
        steps = logits.log_softmax(-1)
        total -= sum(steps[i, label].item() for i, label in enumerate(labels))
        hits += sum(steps[i].argmax().item() == label for i, label in enumerate(labels))
        count += len(labels)
    assert loss.item() == pytest.approx(total / count, rel=1e-4)
    assert accuracy.item() == pytest.approx(hits / count)
    assert tokens.item() == count


def test_attention_maps_are_named_and_sum_to_one(taught):
    maps = taught.attention_maps(rows())
    names = {
        Seq2Seq: {"encoder.blocks.0.attention", "decoder.blocks.0.attention", "decoder.blocks.1.cross_attention"},
        LanguageModel: {"blocks.0.attention", "blocks.1.attention"},
        SequenceTagger: {"blocks.0.attention", "blocks.1.attention"},
    }[type(taught)]
    assert names <= maps.keys()
    for weights in maps.values():
        assert weights.shape[:2] == (8, 2)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:3]))


@EVERY_MODEL
def test_a_checkpoint_opens_with_its_tokenizer(tmp_path, model):
    module = tiny(model)
    fit = trainer(max_steps=4, default_root_dir=tmp_path, callbacks=[EMAWeightAveraging(decay=0.5)])
    fit.fit(module, Backwards())
    fit.save_checkpoint(tmp_path / "model.ckpt")
    network = partial(NETWORKS[model], **TINY)
    loaded = model.load_from_checkpoint(tmp_path / "model.ckpt", network=network, weights_only=True).eval()
    assert loaded.answer(["w1 w2 w3", "w5 w6"]) == module.eval().answer(["w1 w2 w3", "w5 w6"])
    weights = torch.load(next(tmp_path.rglob("*step=*.ckpt")), weights_only=True)["state_dict"]  # averaged ones
    assert len(weights["vocabulary._extra_state"])


@EVERY_MODEL
def test_published_weights_open_with_their_tokenizer(tmp_path, model):
    module = by_heart(model)
    weights = {name: value.half().contiguous() for name, value in module.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    network = {"class_path": f"networks.transformer.{NETWORKS[model].__name__}", "init_args": TINY}
    arguments = {"vocab_size": VOCABULARY, "network": network}
    config = {"model": {"class_path": f"{model.__module__}.{model.__name__}", "init_args": arguments}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    loaded = load_trained(tmp_path)
    texts = module.vocabulary.decode(rows()["source"])
    assert loaded.answer(texts) == module.answer(texts)
    assert trainer(enable_checkpointing=False).test(loaded, Backwards(1), verbose=False)[0] == {"test/exact_match": 1}


@EVERY_MODEL
def test_resuming_equals_not_stopping(tmp_path, model):
    def run(steps, folder, ckpt_path=None):
        torch.manual_seed(0)
        module = tiny(model, lr_schedule=Constant(2))  # the same in both parts, whose lengths are not
        fit = trainer(
            max_steps=steps,
            limit_val_batches=0,
            callbacks=[
                EMAWeightAveraging(decay=0.9, use_buffers=False),
                ModelCheckpoint(folder, every_n_train_steps=4, filename="{step}"),
            ],
        )
        fit.fit(module, Backwards(), ckpt_path=ckpt_path)
        return torch.load(folder / f"step={steps}.ckpt", weights_only=True)

    whole = run(8, tmp_path / "whole")
    run(4, tmp_path / "half")
    resumed = run(8, tmp_path / "resumed", ckpt_path=tmp_path / "half" / "step=4.ckpt")
    for part in ("state_dict", "current_model_state"):
        for name, value in whole[part].items():
            assert torch.equal(value, resumed[part][name]), (part, name)


@EVERY_MODEL
@pytest.mark.parametrize("positions", POSITIONS)
def test_every_kind_of_positions_trains_in_bfloat16(model, positions):
    module = tiny(model, positions=POSITIONS[positions])
    run = trainer(max_steps=4, precision="bf16-mixed", enable_checkpointing=False)
    run.fit(module, Backwards())
    assert run.callback_metrics["train/loss"].isfinite()
    assert 0 <= run.callback_metrics["val/exact_match"] <= 1


def test_several_test_sets_have_their_names():
    metrics = trainer(enable_checkpointing=False).test(tiny(Seq2Seq), TwoTests(), verbose=False)
    assert metrics[0].keys() | metrics[1].keys() == {"test/short", "test/long"}


def test_metrics_of_texts_are_those_of_all_answers(taught):
    """By torchmetrics' own functions, over several batches and test sets."""
    from torchmetrics.functional.text import bleu_score, char_error_rate
    from torchmetrics.text import BLEUScore, CharErrorRate

    if isinstance(taught, SequenceTagger):
        pytest.skip("its answers are tags, not texts")
    metrics = {"character_error_rate": CharErrorRate(), "bleu": BLEUScore(n_gram=2)}
    module = tiny(type(taught), text_metrics=metrics)
    module.load_state_dict(taught.state_dict())
    data = TwoTests()
    logged = trainer(enable_checkpointing=False).test(module, data, verbose=False)
    batches = [batch for loader in data.test_dataloader() for batch in loader]
    answers = [text for batch in batches for text in module.vocabulary.decode(module._answers(batch))]
    targets = [text for batch in batches for text in module.vocabulary.decode(batch["target"])]
    assert answers != targets
    found = logged[0] | logged[1]
    assert found["test/character_error_rate"] == pytest.approx(char_error_rate(answers, targets).item())
    assert found["test/bleu"] == pytest.approx(bleu_score(answers, [[text] for text in targets], 2).item())
    assert module.state_dict().keys() == taught.state_dict().keys()


def test_predictions_are_generated_as_the_config_says():
    from decoding.generation_config import GenerationConfig

    for model in (Seq2Seq, LanguageModel):
        torch.manual_seed(0)
        module = tiny(model, generation_config=GenerationConfig(max_new_tokens=5, temperature=1.0, seed=3))
        module.vocabulary.adopt(tokenizer(WORDS))
        predicted = trainer(enable_checkpointing=False).predict(module, Backwards(1))[0]
        texts = module.vocabulary.decode(rows()["source"])
        assert predicted == module.answer(texts, max_new_tokens=5, temperature=1.0, seed=3)
        assert predicted != module.answer(texts, max_new_tokens=5)


def test_answers_can_be_drawn_or_searched():
    module = tiny(Seq2Seq)
    module.vocabulary.adopt(tokenizer(WORDS))
    texts, options = ["w1 w2", "w3", "w4 w5 w6"], {"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 5}
    drawn = module.answer(texts, **options)
    assert [module.answer([text], first_row=row, **options)[0] for row, text in enumerate(texts)] == drawn
    assert module.answer(texts, seed=1, **options) != drawn
    module.answer(["w1 w2"], beams=4, max_new_tokens=5)


def spoken_by_all(token, **options):
    """Models that find this token likeliest everywhere, whatever they read."""
    for model in (Seq2Seq, LanguageModel, SequenceTagger):
        module = spoken(model, **options)
        for part in module.modules():
            if isinstance(part, Encoder | Decoder):
                part.norm.weight.data.zero_()
                part.norm.bias.data = 100 * part.embedding.weight[token].detach()
                part.embedding.weight.data[token] *= 100
        yield module


@pytest.mark.parametrize("token", [PAD, BOS, SEP])
def test_special_tokens_are_never_written(token):
    batch = rows()
    for module in spoken_by_all(token):
        ways = [{}] if isinstance(module, SequenceTagger) else [{}, {"temperature": 1.0}, {"beams": 3}]
        for way in ways:
            answers = module.generate(batch["source"], max_new_tokens=5, **way)
            ended = (answers == EOS).cumsum(1) > 0
            assert (answers[~ended] >= SPECIAL).all()
            assert (answers[ended] <= EOS).all()


def test_an_answer_that_never_ends_is_not_exact():
    """One token for ever, where the target is nothing but that token."""
    target = torch.full((3, 4), 7)
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2:] = False
    batch = {"source": target * mask, "source_mask": mask, "target": target * mask, "target_mask": mask}
    for module in spoken_by_all(7):
        ends = isinstance(module, SequenceTagger)
        assert module._exact(batch).tolist() == [float(ends)] * 3
        for most in (4, 5):
            answers = module.generate(batch["source"], max_new_tokens=most)
            assert module.is_exact(answers, batch).tolist() == [ends and most == 5, ends, ends and most == 5]
    assert not module.is_exact(batch["target"], batch).any(), "no end"
    assert module.is_exact(with_eos(batch["target"], mask), batch).all()


def test_what_was_cut_off_is_said():
    for module in spoken_by_all(7):
        if not isinstance(module, SequenceTagger):
            with pytest.warns(match="2 of 2 answers were cut off"):
                assert module.answer(["w1", "w2 w3"], max_new_tokens=3) == ["w3 w3 w3"] * 2


@EVERY_MODEL
def test_answers_need_no_mask_and_no_training_mode(model):
    """Padded rows alone, in a batch, with a mask, with more padding, left-padded; and while dropout is on."""
    torch.manual_seed(0)
    module, batch = spoken(model, dropout=0.5, positions=POSITIONS["rotary"]).eval(), rows(longest=10)
    for part in module.parameters():
        if part.ndim > 1:
            torch.nn.init.normal_(part, std=0.3)
    source, mask = batch["source"], batch["source_mask"]
    expected = module.generate(source, mask)
    padded = F.pad(source, (0, 30), value=PAD)  # more padding than max_length
    to_the_left = torch.stack([row.roll(int((row == PAD).sum())) for row in source])
    module.train()
    before = torch.get_rng_state()
    for given in (source, padded, to_the_left):
        assert torch.equal(module.generate(given), expected)
    for i, row in enumerate(source):
        alone = module.generate(row[None, mask[i]])[0]
        assert torch.equal(expected[i, : len(alone)], alone)
        assert (expected[i, len(alone) :] == PAD).all()
    texts = module.vocabulary.decode(source)
    assert module.answer(texts) == module.vocabulary.decode(expected)
    assert torch.equal(module.attention_maps(batch)[names(module)], module.attention_maps(batch)[names(module)])
    assert module.training
    assert all(part.training for part in module.modules())
    assert torch.equal(torch.get_rng_state(), before)


def names(module):
    return "encoder.blocks.1.attention" if isinstance(module, Seq2Seq) else "blocks.1.attention"


@EVERY_MODEL
def test_no_rows_and_empty_rows_are_answered(model):
    module = spoken(model).eval()
    assert module.answer([]) == []
    assert module.generate(torch.zeros(0, 3, dtype=torch.long)).shape[0] == 0
    source = torch.tensor([[PAD, PAD], [5, 6]])
    together = module.generate(source)
    alone = module.generate(torch.zeros(1, 0, dtype=torch.long))
    assert torch.equal(together[:1, : alone.shape[1]], alone)
    assert module.network.training is False
    batch = {"source": source, "source_mask": source != PAD, "target": source, "target_mask": source != PAD}
    assert module._loss(batch)[0].isfinite()


@pytest.mark.parametrize("model", [LanguageModel, SequenceTagger])
def test_padding_takes_no_room_in_training_either(model):
    """Rows of 10 tokens at most beside 30 columns of padding, where 24 tokens are the most."""
    module, batch = spoken(model), rows(longest=10)
    padded = {name: F.pad(value, (0, 30), value=PAD) for name, value in batch.items()}
    torch.testing.assert_close(module._loss(padded), module._loss(batch))


@EVERY_MODEL
@pytest.mark.parametrize("positions", POSITIONS)
def test_every_kind_of_positions_trains_in_true_bfloat16(model, positions):
    module = tiny(model, positions=POSITIONS[positions])
    run = trainer(max_steps=2, precision="bf16-true", enable_checkpointing=False, limit_val_batches=1)
    run.fit(module, Backwards())
    assert run.callback_metrics["train/loss"].isfinite()


def test_test_sets_without_names_are_counted():
    loaders = [DataLoader([rows(longest=longest)], batch_size=None) for longest in (4, 10)]
    metrics = trainer(enable_checkpointing=False, limit_test_batches=1).test(tiny(Seq2Seq), loaders, verbose=False)
    assert metrics[0].keys() | metrics[1].keys() == {"test/exact_match", "test/exact_match_1"}


def test_packing_closes_gaps():
    tokens = torch.tensor([[5, 6, 7, 3, 8, 9], [5, 0, 0, 3, 8, 0]])
    mask = torch.tensor([[True] * 6, [True, False, False, True, True, False]])
    tokens, mask = packed(tokens[:, :5], mask[:, :5])
    assert tokens.tolist() == [[5, 6, 7, 3, 8], [5, 3, 8, PAD, PAD]]
    assert mask.sum(1).tolist() == [5, 3]
    tokens, mask = packed(tokens[1:], mask[1:])
    assert tokens.tolist() == [[5, 3, 8]]


def untagged():
    batch = rows()
    batch["target_mask"][0, -1] = False
    return batch


def spoken(model, **options):
    module = tiny(model, **options)
    module.vocabulary.adopt(tokenizer(WORDS))
    return module


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tiny(Seq2Seq, heads=3), "width=32 is not divisible by heads=3"),
        (lambda: Seq2Seq(VOCABULARY, Encoder), "Seq2Seq needs a network with .*, and Encoder lacks encode, decoder"),
        (lambda: LanguageModel(VOCABULARY, Encoder), "LanguageModel needs .*, and Encoder lacks cache"),
        (
            lambda: trainer(enable_checkpointing=False).fit(tiny(Seq2Seq, 9), Backwards()),
            "vocab_size=9.*tokenizer of 16",
        ),
        (lambda: tiny(SequenceTagger)._loss(untagged()), "targets are of other lengths"),
        (lambda: spoken(Seq2Seq).answer([""]), "a text to answer is empty"),
        (lambda: spoken(Seq2Seq).answer(["w1 w99"]), "'w99' in 'w1 w99' is not known"),
        (lambda: spoken(Seq2Seq).answer(["w1 " * 25]), "26 tokens is too long.*max_length=24"),
        (lambda: spoken(SequenceTagger).answer(["w1 " * 25]), "26 tokens is too long.*max_length=24"),
        (lambda: spoken(LanguageModel).answer(["w1 " * 24]), "25 tokens is too long.*max_length=24"),
        (lambda: spoken(Seq2Seq).answer(["w1", "w1 " * 25]), "26 tokens is too long.*max_length=24"),
        (lambda: spoken(Seq2Seq).answer("w1 w2"), "a list of texts.*got 'w1 w2'"),
        (lambda: spoken(Seq2Seq).answer([3]), r"a list of texts.*got \[3\]"),
        (lambda: tiny(Seq2Seq).answer(["w1"]), "no tokenizer yet"),
        *[
            (lambda model=model, most=most: spoken(model).answer(["w1"], max_new_tokens=most), f"max_new_tokens={most}")
            for model in (Seq2Seq, LanguageModel, SequenceTagger)
            for most in (0, -1)
        ],
        *[
            (lambda option=option: tiny(Seq2Seq, **option), f"{name}={value}.* must be")
            for name, values in {
                "vocab_size": (0, -1, 4),
                "width": (0, -1),
                "depth": (0, -1),
                "heads": (0, -1),
                "max_length": (0, -1),
                "dropout": (1.0, -0.1, math.nan, math.inf),
                "lr": (-0.1, math.nan, math.inf),
            }.items()
            for value in values
            for option in [{name: value}]
        ],
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_other_tokenizers_than_that_of_the_weights_are_refused():
    module = by_heart(Seq2Seq, steps=1)
    with pytest.raises(ValueError, match="another tokenizer"):
        trainer(enable_checkpointing=False).test(module, Backwards(words=WORDS[::-1]), verbose=False)


class Recurrent(nn.Module):
    """An own network: it reads from left to right by a GRU, over padding, and keeps nothing between two tokens."""

    def __init__(self, vocab_size: int, width: int = 32):
        super().__init__()
        self.vocab_size, self.max_length = vocab_size, 40
        self.embedding = nn.Embedding(vocab_size, width)
        self.cell = nn.GRUCell(width, width)
        self.head = nn.Linear(width, vocab_size)

    def features(self, tokens, mask=None, memory=None, cache=None):
        x = self.embedding(tokens)
        states = [torch.zeros_like(x[:, 0]) if memory is None else memory.state]
        for time in range(tokens.shape[1]):
            state = self.cell(x[:, time], states[-1])
            states.append(state if mask is None else torch.where(mask[:, time, None], state, states[-1]))
        return torch.stack(states[1:], 1)

    def logits(self, features):
        return self.head(features)

    def cache(self, capacity):
        return None


class Sentence(NamedTuple):
    """A source as one vector, (B, C)."""

    state: torch.Tensor

    def reorder(self, rows):
        return Sentence(self.state[rows])


class RecurrentPair(nn.Module):
    """An own encoder-decoder (Sutskever et al. 2014)."""

    def __init__(self, vocab_size: int, width: int = 32):
        super().__init__()
        self.encoder, self.decoder = Recurrent(vocab_size, width), Recurrent(vocab_size, width)

    def encode(self, source, source_mask=None):
        return Sentence(self.encoder.features(source, source_mask)[:, -1])

    def features(self, source, target, source_mask=None, target_mask=None):
        return self.decoder.features(target, memory=self.encode(source, source_mask))

    def logits(self, features):
        return self.decoder.logits(features)


OWN = {Seq2Seq: RecurrentPair, LanguageModel: Recurrent, SequenceTagger: Recurrent}


@pytest.mark.parametrize("width", [32, 16])
@EVERY_MODEL
def test_an_own_network_trains_answers_and_comes_back(model, width, tmp_path):
    torch.manual_seed(0)
    network = partial(OWN[model], width=width)
    module = model(VOCABULARY, network, 3e-2)
    fit = trainer(max_steps=30, enable_checkpointing=False)
    fit.fit(module, Backwards())
    before, after = Backwards().batches[0], fit.callback_metrics
    assert after["train/loss"] < model(VOCABULARY, network)._loss(before)[0] - 0.1
    fit.save_checkpoint(tmp_path / "model.ckpt")
    loaded = model.load_from_checkpoint(tmp_path / "model.ckpt", network=network, weights_only=True)
    texts = ["w1 w2 w3", "w5 w6"]
    ways = [{}] if model is SequenceTagger else [{}, {"beams": 3}, {"temperature": 1.0}]
    for way in ways:
        options = {"max_new_tokens": 5, **way}
        together = loaded.answer(texts, **options)
        assert together == module.answer(texts, **options)
        assert [
            loaded.answer([text], **options | ({"first_row": row} if "temperature" in way else {}))[0]
            for row, text in enumerate(texts)
        ] == together


def test_a_checkpoint_holds_plain_values_alone(tmp_path):
    module = tiny(LanguageModel)
    fit = trainer(max_steps=1, limit_val_batches=0, enable_checkpointing=False)
    fit.fit(module, Backwards())
    fit.save_checkpoint(tmp_path / "model.ckpt")
    assert torch.load(tmp_path / "model.ckpt", weights_only=True)["hyper_parameters"] == {
        "vocab_size": VOCABULARY,
        "lr": 1e-3,
    }
