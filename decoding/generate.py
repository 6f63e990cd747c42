"""Let a decoder write: greedy, by sampling, or by beam search.

B batch, P tokens of the prompts, N new tokens, K beams, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from decoding import sampling
from limits import whole
from networks.evaluation import evaluating
from networks.transformer import Decoder, Memory
from networks.vocabulary import EOS, PAD

MOST_BEAMS = 1_000


class Writer:
    """The state of a decoder that writes B rows at once: what it has read, and how to read on.

    `room` (B,) is how many tokens each row may have more. It follows from the row's own prompt, not from the longest.

    Args:
        decoder: the network.
        prompt, prompt_mask: (B, P), what the rows begin with; True = token. At least one token each.
        memory: of the source, for a decoder with cross-attention.
        max_new_tokens: how many more will be written at most; None: as many as the decoder can read.
        cached: keep keys and values; otherwise everything is read again for each new token.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Tensor,
        prompt_mask: Tensor | None,
        memory: Memory | None,
        max_new_tokens: int | None = None,
        cached: bool = True,
    ):
        if max_new_tokens is not None:
            whole(max_new_tokens=max_new_tokens)
        if prompt_mask is not None and prompt_mask.all():
            prompt_mask = None  # without padding, attention needs no mask
        lengths = prompt.new_full((len(prompt),), prompt.shape[1]) if prompt_mask is None else prompt_mask.sum(1)
        if (lengths < 1).any():
            raise ValueError("a prompt is empty; every row needs at least one token to go on from")
        limit = decoder.positions.max_length
        if (lengths > limit).any():
            raise ValueError(
                f"a prompt of {int(lengths.max())} tokens is too long: this network has max_length={limit}; shorten "
                "it, or train with a larger max_length"
            )
        self.room = limit + 1 - lengths  # the last new token is not read
        if max_new_tokens is not None:
            self.room = self.room.clamp(max=min(max_new_tokens, limit))
        self.decoder, self.memory = decoder, memory
        self.cache = decoder.cache(prompt.shape[1] + int(self.room.max()) - 1) if cached else None
        self.tokens, self.mask = prompt, prompt_mask

    def first(self) -> Tensor:
        """Logits (B, V) of the token after the prompt."""
        features = self.decoder.features(self.tokens, self.mask, self.memory, self.cache)  # (B, P, C)
        return self.decoder.logits(self._last(features))

    def next(self, tokens: Tensor, ended: Tensor) -> Tensor:
        """Logits (B, V) of the token after `tokens` (B,), which are the rows' new ones, and padding in ended rows."""
        mask = None if self.mask is None else ~ended[:, None]  # rows of one length end their room together
        if self.cache is not None:
            return self.decoder(tokens[:, None], mask, self.memory, self.cache)[:, -1]
        self.tokens = torch.cat([self.tokens, tokens[:, None]], 1)
        self.mask = None if mask is None else torch.cat([self.mask, mask], 1)
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
    max_new_tokens: int | None = None,
    memory: Memory | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beams: int = 1,
    seed: int = 0,
    first_row: int = 0,
    end: int = EOS,
    suppress_tokens: Sequence[int] = (),
    cached: bool = True,
) -> Tensor:
    """What the decoder writes after each prompt: (B, P) -> (B, N), up to and with `end`, then PAD.

    Prompts may be ragged: right-padded, with a mask (B, P) that is True at tokens. A row's answer depends on nothing
    but its own prompt (and, drawn at random, on the seed and its number), in any batch. One without `end` was cut off.
    The decoder answers in evaluation mode, whatever mode it is in, and stays in that.

    Args:
        max_new_tokens: rows that have not ended by then are cut off, as they are where they have max_length + 1 tokens.
        memory: of the source, for an encoder-decoder (`EncoderDecoder.encode`).
        temperature: 0 takes the likeliest token; otherwise tokens are drawn (`sampling.next_distribution`).
        top_k, top_p: draw from these only.
        beams: more than 1 searches for the likeliest answer as a whole with so many beams (`beam_search`).
        seed, first_row: of the draws (`sampling.uniform`); row b of the batch is row first_row + b of all.
        end: the id that ends a row; -1: none does.
        suppress_tokens: ids that are never written.
        cached: False reads everything again for each new token: slow, and the same.

    Raises ValueError for empty or too long prompts and for options that are out of range.
    """
    sampling.check(temperature, top_k, top_p)
    whole(1, MOST_BEAMS, beams=beams)
    if temperature > 0 and beams > 1:
        raise ValueError(f"beams={beams} search for the likeliest, and temperature={temperature} draws; leave one out")
    if temperature == 0 and not (top_k is None and top_p is None):
        raise ValueError(
            f"top_k={top_k} and top_p={top_p} choose what to draw from, and temperature=0 draws nothing; raise it"
        )
    whole(0, first_row=first_row)
    whole(-1, end=end)
    vocabulary = decoder.embedding.num_embeddings
    for token in suppress_tokens:
        whole(0, vocabulary - 1, suppress_tokens=token)
    if len(set(suppress_tokens)) == vocabulary:
        raise ValueError("suppress_tokens holds all there are; leave one to write")
    if not len(prompt):
        return prompt.new_zeros(0, 0)
    writer = Writer(decoder, prompt, prompt_mask, memory, max_new_tokens, cached)
    silent = torch.tensor(suppress_tokens, dtype=torch.long, device=prompt.device)
    with evaluating(decoder):
        if beams > 1:
            return beam_search(writer, beams, end, silent)
        numbers = range(first_row, first_row + len(prompt))
        draws = sampling.uniform(seed, numbers, int(writer.room.max())).to(prompt.device) if temperature > 0 else None
        written: list[Tensor] = []
        ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
        logits = writer.first()
        while True:
            logits = logits.float().index_fill_(1, silent, -torch.inf)
            if draws is None:
                token = logits.argmax(-1)
            else:
                distribution = sampling.next_distribution(logits, temperature, top_k, top_p)
                token = sampling.draw(distribution, draws[:, len(written)])
            token = token.masked_fill(ended, PAD)
            written.append(token)
            ended |= (token == end) | (writer.room <= len(written))
            if ended.all():
                return torch.stack(written, 1)
            logits = writer.next(token, ended)


def beam_search(writer: Writer, beams: int, end: int, silent: Tensor) -> Tensor:
    """The likeliest answers found with `beams` open ones in each row: (B, N), as `generate` gives them.

    The score of an answer is the sum of its tokens' log probabilities, `end` included; answers that are cut off compete
    like ended ones, those with one of the `silent` ids not at all. With as many beams as there are beginnings nothing
    is missed: the result is the likeliest of all answers.
    """
    whole(1, MOST_BEAMS, beams=beams)
    whole(-1, end=end)
    logits = writer.first()
    batch, vocabulary = logits.shape
    room = writer.room[:, None]  # (B, 1)
    writer.reorder(torch.arange(batch, device=logits.device).repeat_interleave(beams))
    logits = logits.repeat_interleave(beams, 0)
    scores = logits.new_full((batch, beams), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # all beams of a row begin the same: count one
    ended = torch.zeros(batch, beams, dtype=torch.bool, device=logits.device)
    written = torch.empty(batch, beams, 0, dtype=torch.long, device=logits.device)
    first_row = torch.arange(batch, device=logits.device)[:, None] * beams
    while True:
        steps = logits.double().log_softmax(-1).index_fill_(1, silent, -torch.inf).unflatten(0, (batch, beams))
        steps[ended] = -torch.inf  # (B, K, V); an ended beam goes on as itself alone
        steps[..., PAD] = torch.where(ended, 0.0, steps[..., PAD])
        scores, best = (scores[..., None] + steps).flatten(1).topk(beams)  # (B, K)
        beam, token = best // vocabulary, best % vocabulary
        written = torch.cat([written.take_along_dim(beam[..., None], 1), token[..., None]], -1)
        ended = ended.take_along_dim(beam, 1) | (token == end) | (room <= written.shape[-1])
        if ended.all():
            return written[:, 0]
        writer.reorder((first_row + beam).flatten())
        logits = writer.next(token.flatten(), ended.flatten())
