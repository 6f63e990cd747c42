"""What must hold of any transformer: causality, independence of padding and neighbours, and exact caches."""

import itertools

import pytest
import torch

from networks.transformer import AnswerDecoder, Decoder, Encoder, EncoderDecoder, token_positions
from networks.vocabulary import SEP
from tests.networks.test_positions import POSITIONS

V, C, H, LIMIT = 23, 32, 4, 40
WITHOUT = {"none", "scalable softmax"}  # ways that give no positions
EVERY_POSITIONS = pytest.mark.parametrize("positions", POSITIONS)


def loud(network):
    """Weights large enough that every token matters, in float64."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.25
    return network.double().eval()


def decoder(positions, cross=False):
    return loud(Decoder(V, C, 3, H, LIMIT, positions=POSITIONS[positions], cross=cross))


def encoder(positions):
    return loud(Encoder(V, C, 3, H, LIMIT, positions=POSITIONS[positions]))


def encoder_decoder(positions):
    network = EncoderDecoder(V, C, 3, H, LIMIT, positions=POSITIONS[positions])
    loud(network.encoder)
    loud(network.decoder)
    return network


def tokens(batch, time, seed=0):
    return torch.randint(4, V, (batch, time), generator=torch.Generator().manual_seed(seed))


def ragged(lengths, time):
    return torch.arange(time) < torch.tensor(lengths)[:, None]


@torch.no_grad()
def in_pieces(network, ids, mask, cuts, memory=None, capacity=LIMIT):
    cache = network.cache(capacity)
    edges = [0, *cuts, ids.shape[1]]
    return torch.cat(
        [
            network(ids[:, a:b], None if mask is None else mask[:, a:b], memory, cache)
            for a, b in itertools.pairwise(edges)
        ],
        1,
    )


CUTS = {"one by one": range(1, 12), "prefill, then one by one": range(7, 12), "chunks": (3, 4, 9)}


@EVERY_POSITIONS
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("lengths", [None, (12, 5, 9)], ids=["full", "ragged"])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_cached_logits_are_the_uncached(positions, cuts, lengths, dtype, atol):
    network = decoder(positions).to(dtype)
    ids = tokens(3, 12)
    mask = None if lengths is None else ragged(lengths, 12)
    expected = network(ids, mask)
    assert expected.std() > 0.5
    found = in_pieces(network, ids, mask, cuts)
    where = torch.ones(3, 12, dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(found[where], expected[where], rtol=0, atol=atol * expected.abs().max().item())


@EVERY_POSITIONS
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_cached_logits_with_a_memory_are_the_uncached(positions, cuts, dtype, atol):
    network = encoder_decoder(positions).to(dtype)
    source, source_mask, target = tokens(3, 8), ragged((8, 2, 5), 8), tokens(3, 12, seed=1)
    expected = network(source, target, source_mask)
    found = in_pieces(network.decoder, target, None, cuts, network.encode(source, source_mask))
    torch.testing.assert_close(found, expected, rtol=0, atol=atol * expected.abs().max().item())


@EVERY_POSITIONS
def test_a_ragged_prompt_goes_on_behind_its_own_end(positions):
    """Rows of 9, 3 and 6 tokens, padded to 9, then three more each: the logits are those of each row alone."""
    network = decoder(positions)
    lengths, ids, more = (9, 3, 6), tokens(3, 9), tokens(3, 3, seed=1)
    cache = network.cache(12)
    network(ids, ragged(lengths, 9), cache=cache)
    found = torch.cat([network(more[:, i : i + 1], cache=cache) for i in range(3)], 1)
    for row, length in enumerate(lengths):
        alone = network(torch.cat([ids[row, :length], more[row]])[None])[0, length:]
        torch.testing.assert_close(found[row], alone, rtol=0, atol=1e-10)


def marked(lengths, time):
    """Rows with a SEP at these places."""
    ids = tokens(len(lengths), time)
    ids[torch.arange(len(lengths)), torch.tensor(lengths)] = SEP
    return ids


def test_positions_count_anew_from_a_mark():
    ids, mask = marked((3, 1, 5), 7), ragged((7, 4, 6), 7)
    expected = [[0, 1, 2, 0, 1, 2, 3], [0, 0, 1, 2, 2, 2, 2], [0, 1, 2, 3, 4, 0, 0]]
    assert token_positions(ids, mask, restart=SEP)[mask].tolist() == torch.tensor(expected)[mask].tolist()
    assert token_positions(ids[:1], restart=SEP).tolist() == expected[:1]
    again = torch.cat([ids, ids], 1)
    assert token_positions(again[:1], restart=SEP)[0].tolist() == [0, 1, 2, *range(11)], "a second mark is no mark"


@EVERY_POSITIONS
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("lengths", [None, (12, 5, 9)], ids=["full", "ragged"])
def test_cached_logits_are_the_uncached_where_positions_count_anew(positions, cuts, lengths):
    network = loud(AnswerDecoder(V, C, 3, H, LIMIT, positions=POSITIONS[positions]))
    ids, mask = marked((5, 2, 8), 12), None if lengths is None else ragged(lengths, 12)
    where = torch.ones(3, 12, dtype=torch.bool) if mask is None else mask
    counted_on = decoder(positions)(ids, mask)  # the same weights
    expected = network(ids, mask)
    assert torch.equal(expected[where], counted_on[where]) == (positions in WITHOUT)
    torch.testing.assert_close(in_pieces(network, ids, mask, cuts)[where], expected[where], rtol=0, atol=1e-9)
    alone = network(ids[1:2, :5])
    torch.testing.assert_close(expected[1, :5], alone[0], rtol=0, atol=1e-9)


@EVERY_POSITIONS
@pytest.mark.parametrize("masked", [False, True])
def test_no_gradient_flows_back_from_the_future(positions, masked):
    network = decoder(positions)
    ids = tokens(2, 9)
    embedded = network.embedding(ids).detach().requires_grad_()
    network.embedding.forward = lambda _: embedded
    network(ids, ragged((9, 9), 9) if masked else None)[:, 4].square().sum().backward()
    sizes = embedded.grad.abs().sum(-1)
    assert (sizes[:, 5:] == 0).all()
    assert (sizes[:, :5] > 0).all()


@EVERY_POSITIONS
def test_logits_before_a_change_are_equal_to_the_bit(positions):
    network = decoder(positions).float()
    ids = tokens(2, 9)
    changed = ids.clone()
    changed[:, 5] = (ids[:, 5] - 4 + 7) % (V - 4) + 4
    before, after = network(ids), network(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@EVERY_POSITIONS
def test_a_target_is_causal_and_sees_all_of_its_source(positions):
    network = encoder_decoder(positions)
    source, target = tokens(2, 6), tokens(2, 7, seed=1)
    before = network(source, target)
    changed = target.clone()
    changed[:, 4] = (target[:, 4] - 4 + 3) % (V - 4) + 4
    after = network(source, changed)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=0, atol=0)
    assert not torch.allclose(after[:, 4:], before[:, 4:])
    for place in range(6):
        other = source.clone()
        other[:, place] = (source[:, place] - 4 + 3) % (V - 4) + 4
        assert ((network(other, target) - before).abs().amax(-1) > 1e-6).all()


@EVERY_POSITIONS
@pytest.mark.parametrize("shape", ["encoder", "decoder", "encoder_decoder"])
def test_padding_changes_nothing_whatever_it_holds(positions, shape):
    lengths, ids = (7, 3, 5), tokens(3, 7)
    mask = ragged(lengths, 12)
    padded = torch.cat([ids, tokens(3, 5, seed=2)], 1)
    for row, length in enumerate(lengths):
        if shape == "encoder_decoder":
            network, target = encoder_decoder(positions), tokens(3, 6, seed=3)
            batch = network(padded, target, mask)[row]
            alone = network(ids[row : row + 1, :length], target[row : row + 1])[0]
        else:
            network = encoder(positions) if shape == "encoder" else decoder(positions)
            batch = network(padded, mask)[row, :length]
            alone = network(ids[row : row + 1, :length])[0]
        torch.testing.assert_close(batch, alone, rtol=0, atol=1e-11)


@EVERY_POSITIONS
def test_right_padding_needs_no_mask_in_a_decoder(positions):
    network, ids, mask = decoder(positions), tokens(3, 8), ragged((8, 3, 5), 8)
    torch.testing.assert_close(network(ids)[mask], network(ids, mask)[mask], rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_rows_do_not_see_each_other(shape):
    network = encoder("learned") if shape == "encoder" else decoder("learned")
    embedded = network.embedding(tokens(3, 6)).detach().requires_grad_()
    network.embedding.forward = lambda _: embedded
    network(tokens(3, 6))[1].square().sum().backward()
    assert (embedded.grad[[0, 2]] == 0).all()
    assert (embedded.grad[1] != 0).any()


def test_an_encoder_without_positions_goes_along_with_any_order():
    ids, order = tokens(2, 9), torch.randperm(9, generator=torch.Generator().manual_seed(0))
    for positions in WITHOUT:
        network = encoder(positions)
        torch.testing.assert_close(network(ids[:, order]), network(ids)[:, order], rtol=0, atol=1e-11)
    for positions in POSITIONS.keys() - WITHOUT:
        network = encoder(positions)
        assert not torch.allclose(network(ids[:, order]), network(ids)[:, order], atol=1e-3)


def test_weights_begin_as_in_gpt2():
    torch.manual_seed(0)
    network = EncoderDecoder(500, 128, 4, 4, 300, positions=POSITIONS["learned"])
    for name, parameter in network.named_parameters():
        depth = 8 if name.startswith("encoder") else 12  # additions to the residual stream
        if "norm" in name:
            assert (parameter == ("weight" in name)).all()
        elif name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            last = "attention.out" in name or "mlp.2" in name
            assert parameter.std().item() == pytest.approx(0.02 / depth**0.5 if last else 0.02, rel=0.05), name


def test_logits_share_the_weights_of_the_embedding():
    network = decoder("none")
    features = network.features(tokens(1, 3))
    torch.testing.assert_close(network(tokens(1, 3)), features @ network.embedding.weight.T)
    assert sum(p.numel() for p in network.parameters()) == V * C + 3 * (12 * C * C + 13 * C) + 2 * C


def test_dropout_is_for_training_alone():
    network = Decoder(V, C, 2, H, LIMIT, dropout=0.5, positions=POSITIONS["none"])
    ids = tokens(2, 5)
    assert not torch.equal(network(ids), network(ids))
    network.eval()
    assert torch.equal(network(ids), network(ids))


@EVERY_POSITIONS
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_too_long_sequences_are_named(positions, shape):
    network = encoder(positions) if shape == "encoder" else decoder(positions)
    network(tokens(1, LIMIT))
    with pytest.raises(ValueError, match=rf"sequence of {LIMIT + 1} tokens is too long.*max_length={LIMIT}"):
        network(tokens(1, LIMIT + 1))


@EVERY_POSITIONS
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_padding_takes_no_room(positions, shape):
    """Rows of LIMIT tokens at most, in more columns than that."""
    network = encoder(positions) if shape == "encoder" else decoder(positions)
    mask = ragged((LIMIT, 3), LIMIT + 20)
    ids = tokens(2, LIMIT + 20)
    torch.testing.assert_close(network(ids, mask)[:, :LIMIT], network(ids[:, :LIMIT], mask[:, :LIMIT]))
    with pytest.raises(ValueError, match=f"sequence of {LIMIT + 1} tokens"):
        network(ids, ragged((LIMIT + 1, 3), LIMIT + 20))


@EVERY_POSITIONS
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_rows_of_padding_alone_spoil_nothing(positions, shape):
    """Neither values nor gradients, where such a row, or the beginning of one, may attend nothing."""
    network = (encoder(positions) if shape == "encoder" else decoder(positions)).train()
    ids, mask = tokens(3, 5), torch.tensor([[True] * 5, [False] * 5, [False, False, True, True, True]])
    out = network(ids, mask)
    assert out.isfinite().all()
    out[mask].square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    torch.testing.assert_close(out[2, 2:], network(ids[2:, 2:])[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", [Encoder, Decoder, AnswerDecoder, EncoderDecoder])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"vocab_size": -1}, "vocab_size=-1"),
        ({"width": 0}, "width=0"),
        ({"depth": 0}, "depth=0"),
        ({"depth": -1}, "depth=-1"),
        ({"heads": 0}, "heads=0"),
        ({"heads": 3}, "width=8 is not divisible by heads=3"),
        ({"max_length": 0}, "max_length=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"dropout": float("nan")}, "dropout=nan"),
    ],
)
def test_sizes_at_their_edges_are_named(kind, option, words):
    with pytest.raises(ValueError, match=words):
        kind(**{"vocab_size": 9, "width": 8, "depth": 1, "heads": 2, "max_length": 4} | option)
