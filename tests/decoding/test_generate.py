import numpy as np
import pytest
import torch

from benchmarks.gpt2 import gpt2_decoder, load_gpt2
from decoding.generate import generate
from networks.transformer import Decoder
from networks.vocabulary import PAD
from tests.networks.test_positions import POSITIONS
from tests.networks.test_transformer import EVERY_POSITIONS, LIMIT, decoder, encoder_decoder, ragged, tokens

WAYS = {
    "greedy": {},
    "temperature": {"temperature": 1.3},
    "top_k": {"temperature": 1.0, "top_k": 5},
    "top_p": {"temperature": 1.0, "top_p": 0.8},
    "beams": {"beams": 3},
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EVERY_POSITIONS
@EVERY_WAY
def test_the_cache_changes_no_token(positions, way):
    network, prompt, mask = decoder(positions), tokens(3, 7), ragged((7, 2, 5), 7)
    cached, uncached = (
        generate(network, prompt, mask, max_new_tokens=15, seed=1, cached=cached, **way) for cached in (True, False)
    )
    assert torch.equal(cached, uncached)


@EVERY_WAY
def test_the_cache_changes_no_token_of_a_target(way):
    network, source, mask = encoder_decoder("sinusoidal"), tokens(3, 7), ragged((7, 2, 5), 7)
    memory = network.encode(source, mask)
    cached, uncached = (
        generate(network.decoder, tokens(3, 1), memory=memory, max_new_tokens=15, seed=1, cached=cached, **way)
        for cached in (True, False)
    )
    assert torch.equal(cached, uncached)


@EVERY_POSITIONS
@EVERY_WAY
@pytest.mark.parametrize("most", [12, None], ids=["12 tokens", "all that fit"])
def test_a_row_is_answered_as_if_alone(positions, way, most):
    network, prompt, lengths = decoder(positions), tokens(4, 7), (7, 2, 5, 1)
    options = {"max_new_tokens": most, "seed": 5, "end": 22, **way}
    together = generate(network, prompt, ragged(lengths, 7), **options)
    for row, length in enumerate(lengths):
        alone = generate(network, prompt[row : row + 1, :length], first_row=row, **options)[0]
        assert len(alone) == (most or LIMIT + 1 - length) or 22 in alone
        assert torch.equal(together[row, : len(alone)], alone)
        assert (together[row, len(alone) :] == PAD).all()


@EVERY_WAY
def test_the_longest_prompt_takes_no_room_from_others(way):
    """A row of 2 tokens beside one that fills all there is but one."""
    network, prompt = decoder("learned"), tokens(2, LIMIT)
    mask = ragged((LIMIT, 2), LIMIT)
    for cached in (True, False):
        together = generate(network, prompt, mask, end=-1, seed=5, cached=cached, **way)
        assert together.shape == (2, LIMIT - 1)
        assert (together[0, 1:] == PAD).all()
        alone = generate(network, prompt[1:, :2], end=-1, seed=5, first_row=1, **way)
        assert torch.equal(together[1:], alone)


def test_greedy_takes_the_likeliest_token_step_by_step():
    network, prompt = decoder("rotary"), tokens(2, 3)
    ids = prompt
    for _ in range(8):
        ids = torch.cat([ids, network(ids)[:, -1:].argmax(-1)], 1)
    assert torch.equal(generate(network, prompt, max_new_tokens=8, end=-1), ids[:, 3:])


def test_rows_end_with_their_end_and_the_batch_with_its_last_row():
    network, prompt = decoder("rotary"), tokens(40, 3)
    free = generate(network, prompt, max_new_tokens=12, end=-1)
    end = free[0, 3].item()
    found = generate(network, prompt, max_new_tokens=12, end=end)
    lengths = []
    for row, whole in zip(found, free, strict=True):
        places = (whole == end).nonzero()
        length = places[0].item() + 1 if len(places) else 12
        lengths.append(length)
        assert torch.equal(row[:length], whole[:length])
        assert (row[length:] == PAD).all()
    assert min(lengths) < 12
    early = [row for row, length in enumerate(lengths) if length < 12][:2]
    stopped = generate(network, prompt[early], max_new_tokens=12, end=end)
    assert stopped.shape[1] == max(lengths[row] for row in early)


def test_draws_follow_the_distribution_and_the_generator():
    network = decoder("none")
    prompt = tokens(1, 3).repeat(5_000, 1)
    expected = (network(prompt[:1])[0, -1] / 1.5).softmax(-1)
    drawn = generate(network, prompt, max_new_tokens=1, temperature=1.5, seed=3)
    counts = torch.bincount(drawn[:, 0], minlength=len(expected)) / len(drawn)
    assert (counts - expected).abs().max() < 4 * (0.25 / len(drawn)) ** 0.5  # four standard errors at most
    again = generate(network, prompt, max_new_tokens=1, temperature=1.5, seed=3)
    assert torch.equal(drawn, again)
    other = generate(network, prompt, max_new_tokens=1, temperature=1.5, seed=4)
    assert not torch.equal(drawn, other)


def test_draws_do_not_depend_on_the_batch_and_leave_the_generators():
    network, prompt = decoder("rotary"), tokens(7, 3)
    options = {"max_new_tokens": 9, "temperature": 1.5, "seed": 3, "end": -1}
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    whole = generate(network, prompt, **options)
    for size in (1, 2, 3):
        parts = [generate(network, prompt[i : i + size], first_row=i, **options) for i in range(0, 7, size)]
        assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    same_prompt = generate(network, prompt[:1].repeat(7, 1), **options)
    assert len(same_prompt.unique(dim=0)) == 7, "rows share their draws"
    other_seed = generate(network, prompt, **{**options, "seed": 4})
    assert not torch.equal(other_seed[:-1], whole[1:]), "seed and row are added"


@EVERY_WAY
def test_dropout_is_off_while_a_network_in_training_mode_writes(way):
    torch.manual_seed(0)
    network, prompt = Decoder(23, 32, 2, 4, 40, dropout=0.5, positions=POSITIONS["learned"]), tokens(3, 4)
    expected = generate(network.eval(), prompt, max_new_tokens=9, end=-1, **way)
    network.train()
    network.blocks[1].eval()  # a part that is frozen stays so
    before = [part.training for part in network.modules()], torch.get_rng_state()
    assert torch.equal(generate(network, prompt, max_new_tokens=9, end=-1, **way), expected)
    assert [part.training for part in network.modules()] == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@EVERY_WAY
def test_suppressed_tokens_are_never_written(way):
    network, prompt = decoder("rotary"), tokens(20, 3)
    free = generate(network, prompt, max_new_tokens=9, end=-1, **way)
    common = free.flatten().bincount().topk(3).indices.tolist()
    found = generate(network, prompt, max_new_tokens=9, end=-1, suppress_tokens=common, **way)
    assert not torch.isin(found, torch.tensor(common)).any()
    untouched = ~torch.isin(free, torch.tensor(common)).any(1)
    if "temperature" not in way and "beams" not in way:
        assert torch.equal(found[untouched], free[untouched])


def test_hugging_face_writes_the_same_without_suppressed_tokens():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=23, n_positions=40, n_embd=32, n_layer=2, n_head=4, activation_function="gelu"
    )
    theirs = transformers.GPT2LMHeadModel(config).double().eval()
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    ours = gpt2_decoder(23, 32, 2, 4, 40).double().eval()
    load_gpt2(ours, theirs.state_dict())
    prompt = tokens(5, 4)
    for suppress in ([], [4, 7, 11, 19]):
        for beams in (1, 3):
            options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
            expected = theirs.generate(prompt, num_beams=beams, suppress_tokens=suppress or None, **options)[:, 4:]
            found = generate(ours, prompt, max_new_tokens=8, beams=beams, end=-1, suppress_tokens=suppress)
            assert torch.equal(found, expected), (suppress, beams)


@EVERY_POSITIONS
@EVERY_WAY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_writes(positions, way, dtype):
    network = decoder(positions).to(dtype)
    found = generate(network, tokens(3, 7), ragged((7, 2, 5), 7), max_new_tokens=8, end=-1, **way)
    assert found.shape == (3, 8)


@pytest.mark.parametrize(
    ("prompt", "mask", "options", "words"),
    [
        (tokens(2, 0), None, {}, "a prompt is empty"),
        (tokens(2, 3), ragged((3, 0), 3), {}, "a prompt is empty"),
        (tokens(2, LIMIT + 1), None, {}, f"prompt of {LIMIT + 1} tokens is too long.*max_length={LIMIT}"),
        (tokens(2, 3), None, {"max_new_tokens": 0}, "max_new_tokens=0 must be"),
        (tokens(2, 3), None, {"max_new_tokens": -1}, "max_new_tokens=-1 must be"),
        (tokens(2, 3), None, {"beams": -1}, "beams=-1"),
        (tokens(2, 3), None, {"beams": 10**12}, "beams=10+ must be .* at most 1000"),
        (tokens(2, 3), None, {"max_new_tokens": 10**30}, "max_new_tokens=10+ must be"),
        (tokens(2, 3), None, {"top_k": 3}, "top_k=.* and top_p=.*temperature=0 draws nothing"),
        (tokens(2, 3), None, {"top_p": 0.5}, "top_k=.* and top_p=.*temperature=0 draws nothing"),
        (tokens(2, 3), None, {"end": -2}, "end=-2"),
        (tokens(2, 3), None, {"beams": 2, "top_k": 3}, "top_k=3 and top_p"),
        (tokens(2, 3), None, {"seed": -1, "temperature": 1.0}, "seed=-1"),
        (tokens(2, 3), None, {"first_row": -1}, "first_row=-1"),
        (tokens(2, 3), None, {"suppress_tokens": [23]}, "suppress_tokens=23 must be .* at most 22"),
        (tokens(2, 3), None, {"suppress_tokens": [-1]}, "suppress_tokens=-1 must be"),
        (tokens(2, 3), None, {"suppress_tokens": range(23)}, "suppress_tokens holds every id of the vocabulary"),
        (tokens(2, 3), None, {"beams": 0}, "beams=0"),
        (tokens(2, 3), None, {"beams": 2, "temperature": 1.0}, "beams=2.*temperature=1.0"),
        (tokens(2, 3), None, {"temperature": -0.1}, "temperature=-0.1"),
    ],
)
def test_mistakes_are_named(prompt, mask, options, words):
    with pytest.raises(ValueError, match=words):
        generate(decoder("none"), prompt, mask, **{"max_new_tokens": 4, **options})


def test_a_prompt_may_fill_all_there_is():
    network = decoder("learned")
    assert generate(network, tokens(1, LIMIT), max_new_tokens=1).shape == (1, 1)
    for most in (LIMIT, 2**31 - 1, None):
        assert generate(network, tokens(1, 1), max_new_tokens=most, end=-1).shape == (1, LIMIT)


@EVERY_WAY
def test_no_prompts_have_no_answers(way):
    assert generate(decoder("none"), tokens(0, 3), **way).shape == (0, 0)


@pytest.mark.parametrize("temperature", [5e-324, 1e-30, 1e-10])
def test_a_temperature_near_0_takes_the_likeliest(temperature):
    network, prompt = decoder("rotary"), tokens(5, 3)
    greedy = generate(network, prompt, max_new_tokens=9)
    assert torch.equal(generate(network, prompt, max_new_tokens=9, temperature=temperature), greedy)


@EVERY_WAY
def test_tokens_are_told_as_they_are_written(way):
    """Each with the logits that it was taken from: greedily, their largest."""
    told = []
    network, prompt = decoder("sinusoidal"), tokens(2, 4)
    answer = generate(network, prompt, max_new_tokens=6, end=-1, **way, on_token=lambda *given: told.append(given))
    if "beams" in way:
        assert not told
        return
    assert torch.equal(torch.stack([token for token, _ in told], 1), answer)
    if not way:
        assert torch.equal(torch.stack([logits.argmax(-1) for _, logits in told], 1), answer)
