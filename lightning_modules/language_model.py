"""Sequences to sequences by a decoder alone: question and answer are one text, of which the answer is learned.

    reads       s1  s2  s3  SEP t1  t2  t3
    predicts                t1  t2  t3  EOS
    position    0   1   2   0   1   2   3

B batch, S source tokens, T target tokens, L = S + T + 2.
"""

import torch
from torch import Tensor

from decoding.generate import generate
from lightning_modules.sequence_model import SequenceModel, packed
from networks.transformer import Decoder
from networks.vocabulary import EOS, SEP, UNWRITTEN


class LanguageModel(SequenceModel):
    """A `SequenceModel` on `networks.transformer.Decoder`.

    Args:
        **options: those of `SequenceModel`; max_length holds for source, SEP and target together.
    """

    def __init__(self, **options):
        super().__init__(**options)
        hp = self.hparams
        self.network = Decoder(
            hp.vocab_size, hp.width, hp.depth, hp.heads, self._positions(), dropout=hp.dropout, restart=SEP
        )

    def _task(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        source, target = batch["source"], batch["target"]
        sep, eos = (source.new_full((len(source), 1), mark) for mark in (SEP, EOS))
        yes = torch.ones_like(sep, dtype=torch.bool)
        tokens, mask = packed(
            torch.cat([source, sep, target, eos], 1),
            torch.cat([batch["source_mask"], yes, batch["target_mask"], yes], 1),
        )
        before = batch["source_mask"].sum(1, keepdim=True) + 1  # tokens before the answer
        answer = mask & (torch.arange(tokens.shape[1], device=mask.device) >= before)
        return (tokens[:, :-1],), tokens[:, 1:], answer[:, 1:]

    def _write(self, source: Tensor, source_mask: Tensor, max_new_tokens: int | None, **options) -> Tensor:
        sep = source.new_full((len(source), 1), SEP)
        prompt, mask = packed(torch.cat([source, sep], 1), torch.cat([source_mask, torch.ones_like(sep).bool()], 1))
        return generate(self.network, prompt, mask, max_new_tokens=max_new_tokens, suppress_tokens=UNWRITTEN, **options)
