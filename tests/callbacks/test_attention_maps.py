from functools import partial

import pytest
import torch
from torch import nn

from callbacks.attention_maps import AttentionMaps, draw
from lightning_modules.language_model import LanguageModel
from lightning_modules.seq2seq import Seq2Seq
from lightning_modules.sequence_tagger import SequenceTagger
from networks.attention import ScaledDotProductAttention
from networks.transformer import AnswerDecoder, Encoder, EncoderDecoder
from networks.vocabulary import Vocabulary

SIZE = {"width": 16, "depth": 2, "heads": 2, "max_length": 80}
NETWORKS = {Seq2Seq: EncoderDecoder, LanguageModel: AnswerDecoder, SequenceTagger: Encoder}


def tiny(module, **options):
    return module(104, partial(NETWORKS[module], **SIZE, **options))


@pytest.mark.parametrize(
    ("module", "attentions"), [(SequenceTagger, 2), (LanguageModel, 2), (Seq2Seq, 6)], ids=lambda x: str(x)
)
def test_attention_maps_reach_tensorboard(module, attentions, sorting, fitted):
    events = fitted(tiny(module), sorting, AttentionMaps())
    assert len(events.Tags()["images"]) == attentions
    assert all(name.startswith("attention/") for name in events.Tags()["images"])


@pytest.mark.parametrize("module", [SequenceTagger, LanguageModel, Seq2Seq])
def test_axes_are_labelled_with_what_is_read(module, sorting):
    network = tiny(module)
    network.vocabulary.adopt(sorting.tokenizer)
    batch = sorting.val_pairs.__getitems__([3])
    source, target = (Vocabulary(sorting.tokenizer).decode(batch[name])[0].split() for name in ("source", "target"))
    source, target, text = ["<bos>", *source], ["<bos>", *target], [*source, "<sep>", *target]
    asking_attended = {
        SequenceTagger: {"blocks": (source, source)},
        LanguageModel: {"blocks": (text, text)},
        Seq2Seq: {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)},
    }[module]
    for name, figure in AttentionMaps().figures(network, batch).items():
        expected = asking_attended["cross" if "cross" in name else name.split(".")[0]]
        assert len(figure.axes) == 2
        for axes in figure.axes:
            ticks = axes.get_yticklabels(), axes.get_xticklabels()
            assert tuple([tick.get_text() for tick in labels] for labels in ticks) == expected


def test_images_show_the_weights():
    maps = torch.rand(3, 4, 5)
    figure = draw(maps, "abcd", "01234")
    shown = [torch.tensor(axes.images[0].get_array().data) for axes in figure.axes]
    torch.testing.assert_close(torch.stack(shown), maps)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == list("01234")


def test_many_heads_make_no_endless_image():
    figure = draw(torch.rand(70, 6, 6), "abcdef", "abcdef")
    assert figure.get_figwidth() <= 120


def test_maps_are_those_of_evaluation_and_leave_the_mode(sorting):
    module = tiny(LanguageModel, dropout=0.5)
    module.vocabulary.adopt(sorting.tokenizer)
    batch, before = sorting.val_pairs.__getitems__([3]), torch.get_rng_state()
    first, again = (AttentionMaps().figures(module, batch)["blocks.1.attention"].axes[0] for _ in range(2))
    assert (first.images[0].get_array() == again.images[0].get_array()).all()
    assert module.training
    assert torch.equal(before, torch.get_rng_state())


class Own(nn.Module):
    """A network that is not of networks.transformer, with our attention or without."""

    def __init__(self, vocab_size, attentive):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 4)
        self.attend = ScaledDotProductAttention() if attentive else nn.Identity()

    def features(self, tokens, mask=None):
        x = self.embedding(tokens)
        return self.attend(*[x[:, None]] * 3)[:, 0]

    def logits(self, features):
        return features @ self.embedding.weight.T

    forward = features


def test_tokens_of_an_own_network_are_numbered(sorting):
    module = SequenceTagger(104, partial(Own, attentive=True))
    module.vocabulary.adopt(sorting.tokenizer)
    batch = sorting.val_pairs.__getitems__([3])
    (figure,) = AttentionMaps().figures(module, batch).values()
    length = int(batch["source_mask"].sum()) + 1  # and BOS
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == list(map(str, range(length)))


def test_a_network_without_our_attention_is_named(sorting):
    module = SequenceTagger(104, partial(Own, attentive=False))
    module.vocabulary.adopt(sorting.tokenizer)
    with pytest.warns(UserWarning, match=r"AttentionMaps shows nothing of Own, .* leave the callback out"):
        assert AttentionMaps().figures(module, sorting.val_pairs.__getitems__([3])) == {}
