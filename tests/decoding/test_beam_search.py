import itertools

import pytest
import torch

from decoding.generate import generate
from networks.transformer import Decoder
from networks.vocabulary import EOS, PAD
from tests.networks.test_positions import POSITIONS


def every_answer(network, prompt, steps, end):
    """All answers of at most so many tokens, {answer: log probability}."""
    vocabulary = network.vocab_size
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
    network = Decoder(5, 16, 2, 2, 10, positions=POSITIONS["rotary"]).double().eval()
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
