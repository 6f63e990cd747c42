"""Generate text with a decoder: greedy, by sampling, or by beam search.

B batch, P tokens of the prompts, N new tokens, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from decoding import sampling
from decoding.beam_search import beam_search
from decoding.decoding_state import DecodingState
from decoding.generation_config import GenerationConfig
from devices import asynchronous
from limits import whole
from networks.evaluation_mode import evaluating
from networks.sequence_network import DecoderNetwork
from networks.vocabulary import EOS, PAD

LOOK_EVERY = 16  # tokens, at which to ask an accelerator whether all rows have ended: the host waits for the answer


@torch.inference_mode()
def generate(
    decoder: DecoderNetwork,
    prompt: Tensor,
    prompt_mask: Tensor | None = None,
    *,
    max_new_tokens: int | None = None,
    memory: Any = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beams: int = 1,
    seed: int = 0,
    first_row: int = 0,
    end: int = EOS,
    suppress_tokens: Sequence[int] = (),
    cached: bool = True,
    on_token: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """The decoder's continuation of each prompt: (B, P) -> (B, N), up to and including `end`, then PAD.

    Prompts may be ragged: right-padded, with a mask (B, P) that is True at tokens. A row's answer depends only on its
    own prompt (and, if drawn at random, on the seed and its number), in any batch. One without `end` was cut off. The
    decoder runs in evaluation mode; its own mode is restored afterwards.

    Args:
        max_new_tokens: rows that have not ended by then are cut off, as they are where they have max_length + 1 tokens.
        memory: of the source, for the decoder of an encoder-decoder (its `encode`).
        temperature: 0 takes the likeliest token; otherwise tokens are drawn (`sampling.next_distribution`).
        top_k, top_p: draw from these only.
        beams: more than 1 searches for the likeliest answer as a whole with so many beams (`beam_search`).
        seed, first_row: of the draws (`sampling.uniform`); row b of the batch is row first_row + b of all.
        end: the id that ends a row; -1: none does.
        suppress_tokens: ids that are never generated.
        cached: False reads everything again for each new token: slower, with the same result.
        on_token: is called as `on_token(token, logits)` with each new token (B,) and the logits (B, V) that it was
            taken from: to show text while it is written. A beam search, which decides at the end, calls it never.

    Raises ValueError for empty or too long prompts and for options that are out of range.
    """
    GenerationConfig(max_new_tokens, temperature, top_k, top_p, beams, seed)  # checks them
    whole(0, first_row=first_row)
    whole(-1, end=end)
    vocabulary = decoder.vocab_size
    for never in suppress_tokens:
        whole(0, vocabulary - 1, suppress_tokens=never)
    if len(set(suppress_tokens)) == vocabulary:
        raise ValueError("suppress_tokens holds every id of the vocabulary; leave one out")
    if not len(prompt):
        return prompt.new_zeros(0, 0)
    state = DecodingState(decoder, prompt, prompt_mask, memory, max_new_tokens, cached)
    suppressed = torch.tensor(suppress_tokens, dtype=torch.long, device=prompt.device)
    with evaluating(cast(nn.Module, decoder)):
        if beams > 1:
            return beam_search(state, beams, end, suppressed)
        numbers, most = range(first_row, first_row + len(prompt)), int(state.token_limit.max())
        draws = sampling.uniform(seed, numbers, most).to(prompt.device) if temperature > 0 else None
        written: list[Tensor] = []
        ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
        length = torch.ones((), dtype=torch.long, device=prompt.device)  # of the longest answer
        every = LOOK_EVERY if asynchronous(prompt.device) else 1
        logits = state.first()
        for count in range(1, most + 1):
            logits = logits.float().index_fill_(1, suppressed, -torch.inf)
            if draws is None:
                token = logits.argmax(-1)
            else:
                distribution = sampling.next_distribution(logits, temperature, top_k, top_p)
                token = sampling.draw(distribution, draws[:, len(written)])
            token = token.masked_fill(ended, PAD)
            written.append(token)
            if on_token is not None:
                on_token(token, logits)
            ended |= (token == end) | (state.token_limit <= len(written))
            if count == most or (count % every == 0 and ended.all()):
                break
            length += (~ended).any()
            logits = state.next(token, ended)
        return torch.stack(written, 1)[:, : int(length)]
