import itertools

import pytest
import torch

from networks.generation import generate
from networks.positions import POSITIONS
from networks.transformer import Decoder
from networks.vocabulary import EOS, PAD
from tests.networks.test_transformer import EVERY_POSITIONS, LIMIT, decoder, encoder_decoder, ragged, tokens

WAYS = {
    "greedy": {},
    "temperature": {"temperature": 1.3},
    "top_k": {"temperature": 1.0, "top_k": 5},
    "top_p": {"temperature": 1.0, "top_p": 0.8},
    "beams": {"beams": 3},
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@EVERY_POSITIONS
@EVERY_WAY
def test_the_cache_changes_no_token(positions, way):
    network, prompt, mask = decoder(positions), tokens(3, 7), ragged((7, 2, 5), 7)
    cached, uncached = (
        generate(network, prompt, mask, max_new_tokens=15, generator=seeded(), cached=cached, **way)
        for cached in (True, False)
    )
    assert torch.equal(cached, uncached)


@EVERY_WAY
def test_the_cache_changes_no_token_of_a_target(way):
    network, source, mask = encoder_decoder("sinusoidal"), tokens(3, 7), ragged((7, 2, 5), 7)
    memory = network.encode(source, mask)
    cached, uncached = (
        generate(
            network.decoder, tokens(3, 1), memory=memory, max_new_tokens=15, generator=seeded(), cached=cached, **way
        )
        for cached in (True, False)
    )
    assert torch.equal(cached, uncached)


@EVERY_POSITIONS
@pytest.mark.parametrize("way", [{}, {"beams": 3}], ids=["greedy", "beams"])
def test_a_row_is_answered_as_if_alone(positions, way):
    network, prompt, lengths = decoder(positions), tokens(4, 7), (7, 2, 5, 1)
    together = generate(network, prompt, ragged(lengths, 7), max_new_tokens=12, **way)
    for row, length in enumerate(lengths):
        alone = generate(network, prompt[row : row + 1, :length], max_new_tokens=12, **way)[0]
        assert torch.equal(together[row, : len(alone)], alone)
        assert (together[row, len(alone) :] == PAD).all()


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
    drawn = generate(network, prompt, max_new_tokens=1, temperature=1.5, generator=seeded(3))
    counts = torch.bincount(drawn[:, 0], minlength=len(expected)) / len(drawn)
    assert (counts - expected).abs().max() < 4 * (0.25 / len(drawn)) ** 0.5  # four standard errors at most
    again = generate(network, prompt, max_new_tokens=1, temperature=1.5, generator=seeded(3))
    assert torch.equal(drawn, again)
    other = generate(network, prompt, max_new_tokens=1, temperature=1.5, generator=seeded(4))
    assert not torch.equal(drawn, other)


def every_answer(network, prompt, steps, end):
    """All answers of at most so many tokens, {answer: log probability}."""
    vocabulary = network.embedding.num_embeddings
    found = {}
    for answer in itertools.product(range(vocabulary), repeat=steps):
        if end in answer:
            answer = answer[: answer.index(end) + 1]
        if answer not in found:
            ids = torch.cat([prompt, torch.tensor([answer])], 1)
            steps_log = network(ids)[0, prompt.shape[1] - 1 : -1].log_softmax(-1)
            found[answer] = sum(steps_log[i, token].item() for i, token in enumerate(answer))
    return found


def tiny(seed):
    torch.manual_seed(seed)
    network = Decoder(5, 16, 2, 2, POSITIONS["rotary"](16, 2, 10)).double().eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return network


@pytest.mark.parametrize("seed", range(4))
def test_enough_beams_find_the_likeliest_of_all_answers(seed):
    network, steps = tiny(seed), 4
    prompt = torch.tensor([[4, 3]])
    with torch.no_grad():
        answers = every_answer(network, prompt, steps, EOS)
    assert sum(torch.tensor(list(answers.values())).exp()).item() == pytest.approx(1)  # nothing is missing
    best = max(answers, key=answers.get)
    found = generate(network, prompt, max_new_tokens=steps, beams=5**3)[0].tolist()
    assert tuple(found[: len(best)]) == best
    assert all(token == PAD for token in found[len(best) :])


def test_more_beams_find_likelier_answers_than_greedy_does():
    gains = []
    for seed in range(8):
        network, prompt = tiny(seed), torch.tensor([[4, 3]])
        with torch.no_grad():
            answers = every_answer(network, prompt, 3, EOS)
        scores = []
        for beams in (1, 2):
            found = tuple(generate(network, prompt, max_new_tokens=3, beams=beams)[0].tolist())
            scores.append(next(score for answer, score in answers.items() if found[: len(answer)] == answer))
        gains.append(scores[1] - scores[0])
    assert sum(gains) > 0


@pytest.mark.parametrize(
    ("prompt", "mask", "options", "words"),
    [
        (tokens(2, 0), None, {}, "a prompt is empty"),
        (tokens(2, 3), ragged((3, 0), 3), {}, "a prompt is empty"),
        (tokens(2, 30), None, {"max_new_tokens": 12}, rf"30 tokens and 12 new.*max_length \+ 1 = {LIMIT + 1}"),
        (tokens(2, 3), None, {"max_new_tokens": 0}, "3 tokens and 0 new"),
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
    assert generate(network, tokens(1, 1), max_new_tokens=LIMIT, end=-1).shape == (1, LIMIT)
