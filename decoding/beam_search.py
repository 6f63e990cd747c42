"""Beam search: the likeliest answer as a whole, where greedy decoding takes the likeliest token at each step.

B batch, N new tokens, K beams, V vocabulary.
"""

import torch
from torch import Tensor

from decoding.decoding_state import DecodingState
from limits import whole
from networks.vocabulary import PAD

MOST_BEAMS = 1_000


def beam_search(state: DecodingState, beams: int, end: int, suppressed: Tensor) -> Tensor:
    """The likeliest answers found with `beams` hypotheses a row: (B, N), as `generate` gives them.

    The score of an answer is the sum of its tokens' log probabilities, `end` included. Answers that are cut off compete
    with those that ended. With as many beams as there are prefixes, the result is the likeliest of all answers.

    Args:
        state: of the decoder before its first new token.
        beams: K.
        end: the id that ends an answer; -1: none does.
        suppressed: ids that no answer may hold, a one-dimensional tensor.
    """
    whole(1, MOST_BEAMS, beams=beams)
    whole(-1, end=end)
    logits = state.first()
    batch, vocabulary = logits.shape
    limit = state.token_limit[:, None]  # (B, 1)
    state.reorder(torch.arange(batch, device=logits.device).repeat_interleave(beams))
    logits = logits.repeat_interleave(beams, 0)
    scores = logits.new_full((batch, beams), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # all beams of a row begin equal: keep one
    ended = torch.zeros(batch, beams, dtype=torch.bool, device=logits.device)
    written = torch.empty(batch, beams, 0, dtype=torch.long, device=logits.device)
    first_row = torch.arange(batch, device=logits.device)[:, None] * beams
    while True:
        steps = logits.double().log_softmax(-1).index_fill_(1, suppressed, -torch.inf).unflatten(0, (batch, beams))
        steps[ended] = -torch.inf  # (B, K, V); an ended beam goes on with PAD alone
        steps[..., PAD] = torch.where(ended, 0.0, steps[..., PAD])
        scores, best = (scores[..., None] + steps).flatten(1).topk(beams)  # (B, K)
        beam, token = best // vocabulary, best % vocabulary
        written = torch.cat([written.take_along_dim(beam[..., None], 1), token[..., None]], -1)
        ended = ended.take_along_dim(beam, 1) | (token == end) | (limit <= written.shape[-1])
        if ended.all():
            return written[:, 0]
        state.reorder((first_row + beam).flatten())
        logits = state.next(token.flatten(), ended.flatten())
