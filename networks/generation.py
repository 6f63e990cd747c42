"""Let a decoder write: greedy, by sampling, or by beam search.

B batch, P tokens of the prompts, N new tokens, K beams, V vocabulary.
"""

import torch
from torch import Tensor

from networks import sampling
from networks.transformer import Decoder, Memory
from networks.vocabulary import EOS, PAD


class Writer:
    """The state of a decoder that writes B rows at once: what it has read, and how to read on.

    Args:
        decoder: the network.
        prompt, prompt_mask: (B, P), what the rows begin with; True = token. At least one token each.
        memory: of the source, for a decoder with cross-attention.
        new_tokens: how many more will be written at most.
        cached: keep keys and values; otherwise everything is read again for each new token.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Tensor,
        prompt_mask: Tensor | None,
        memory: Memory | None,
        new_tokens: int,
        cached: bool = True,
    ):
        if prompt_mask is not None and prompt_mask.all():
            prompt_mask = None  # without padding, attention needs no mask
        if prompt.shape[1] == 0 or (prompt_mask is not None and not prompt_mask.any(1).all()):
            raise ValueError("a prompt is empty; every row needs at least one token to go on from")
        longest, limit = prompt.shape[1] + new_tokens, decoder.positions.max_length
        if new_tokens < 1 or longest > limit + 1:  # the last new token is not read
            raise ValueError(
                f"a prompt of {prompt.shape[1]} tokens and {new_tokens} new ones do not fit: at least 1 must be new, "
                f"and both together at most max_length + 1 = {limit + 1}; shorten the prompt or ask for fewer"
            )
        self.decoder, self.memory = decoder, memory
        self.cache = decoder.cache(longest - 1) if cached else None
        self.tokens, self.mask = prompt, prompt_mask

    def first(self) -> Tensor:
        """Logits (B, V) of the token after the prompt."""
        features = self.decoder.features(self.tokens, self.mask, self.memory, self.cache)  # (B, P, C)
        return self.decoder.logits(self._last(features))

    def next(self, tokens: Tensor) -> Tensor:
        """Logits (B, V) of the token after `tokens` (B,), which are the rows' new ones."""
        if self.cache is not None:
            return self.decoder(tokens[:, None], None, self.memory, self.cache)[:, -1]
        self.tokens = torch.cat([self.tokens, tokens[:, None]], 1)
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
        return self.first()

    def reorder(self, rows: Tensor) -> None:
        """Row b goes on as a copy of row rows[b]."""
        if self.cache is not None:
            self.cache.reorder(rows)
        self.tokens = self.tokens[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        self.memory = None if self.memory is None else self.memory.rows(rows)

    def _last(self, features: Tensor) -> Tensor:
        """Features (B, C) of each row's last token."""
        if self.mask is None:
            return features[:, -1]
        places = torch.arange(1, self.mask.shape[1] + 1, device=self.mask.device)
        return features[torch.arange(len(features), device=features.device), (self.mask * places).argmax(1)]


@torch.inference_mode()
def generate(
    decoder: Decoder,
    prompt: Tensor,
    prompt_mask: Tensor | None = None,
    *,
    max_new_tokens: int,
    memory: Memory | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beams: int = 1,
    generator: torch.Generator | None = None,
    end: int = EOS,
    cached: bool = True,
) -> Tensor:
    """What the decoder writes after each prompt: (B, P) -> (B, N), N <= max_new_tokens, up to and with `end`, then PAD.

    Prompts may be ragged: right-padded, with a mask (B, P) that is True at tokens. A row's answer depends on nothing
    but its own prompt (and, drawn at random, on its place in the batch).

    Args:
        max_new_tokens: rows that have not ended by then are cut off.
        memory: of the source, for an encoder-decoder (`EncoderDecoder.encode`).
        temperature: 0 takes the likeliest token; otherwise tokens are drawn (`sampling.next_distribution`).
        top_k, top_p: draw from these only.
        beams: more than 1 searches for the likeliest answer as a whole with so many beams (`beam_search`).
        generator: of the draws.
        end: the id that ends a row.
        cached: False reads everything again for each new token: slow, and the same.

    Raises ValueError for empty or too long prompts and for options that are out of range.
    """
    sampling.check(temperature, top_k, top_p)
    if beams < 1 or (beams > 1 and temperature > 0):
        raise ValueError(f"beams={beams} must be at least 1, and needs temperature=0; got temperature={temperature}")
    writer = Writer(decoder, prompt, prompt_mask, memory, max_new_tokens, cached)
    if beams > 1:
        return beam_search(writer, beams, max_new_tokens, end)
    written: list[Tensor] = []
    ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    logits = writer.first().float()
    while True:
        if temperature == 0:
            token = logits.argmax(-1)
        else:
            distribution = sampling.next_distribution(logits, temperature, top_k, top_p)
            token = torch.multinomial(distribution, 1, generator=generator)[:, 0]
        token = token.masked_fill(ended, PAD)
        written.append(token)
        ended |= token == end
        if len(written) == max_new_tokens or ended.all():
            return torch.stack(written, 1)
        logits = writer.next(token).float()


def beam_search(writer: Writer, beams: int, max_new_tokens: int, end: int = EOS) -> Tensor:
    """The likeliest answers found with `beams` open ones in each row: (B, N), as `generate` gives them.

    The score of an answer is the sum of its tokens' log probabilities, `end` included; answers that are cut off at
    max_new_tokens compete like ended ones. With as many beams as there are beginnings nothing is missed: the result is
    the likeliest of all answers.
    """
    logits = writer.first()
    batch, vocabulary = logits.shape
    writer.reorder(torch.arange(batch, device=logits.device).repeat_interleave(beams))
    logits = logits.repeat_interleave(beams, 0)
    scores = logits.new_full((batch, beams), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # all beams of a row begin the same: count one
    ended = torch.zeros(batch, beams, dtype=torch.bool, device=logits.device)
    written = torch.empty(batch, beams, 0, dtype=torch.long, device=logits.device)
    first_row = torch.arange(batch, device=logits.device)[:, None] * beams
    while True:
        steps = logits.double().log_softmax(-1).unflatten(0, (batch, beams))  # (B, K, V)
        steps[ended] = -torch.inf  # an ended beam goes on as itself alone
        steps[..., PAD] = torch.where(ended, 0.0, steps[..., PAD])
        scores, best = (scores[..., None] + steps).flatten(1).topk(beams)  # (B, K)
        beam, token = best // vocabulary, best % vocabulary
        written = torch.cat([written.take_along_dim(beam[..., None], 1), token[..., None]], -1)
        ended = ended.take_along_dim(beam, 1) | (token == end)
        if written.shape[-1] == max_new_tokens or ended.all():
            return written[:, 0]
        writer.reorder((first_row + beam).flatten())
        logits = writer.next(token.flatten())
