"""Sequences to sequences by a decoder alone: question and answer are one text, of which the answer is learned.

    reads       s1  s2  s3  SEP t1  t2  t3
    predicts                t1  t2  t3  EOS
    position    0   1   2   0   1   2   3

B batch, S source tokens, T target tokens, L = S + T + 2.
"""

import torch
from torch import Tensor

from lightning_modules.sequence_model import SequenceModel
from networks.generation import generate
from networks.transformer import Decoder
from networks.vocabulary import EOS, PAD, SEP


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
        sep, eos = torch.full_like(source[:, :1], SEP), torch.full_like(source[:, :1], EOS)
        yes = torch.ones_like(sep, dtype=torch.bool)
        tokens, mask = packed(
            torch.cat([source, sep, target, eos], 1),
            torch.cat([batch["source_mask"], yes, batch["target_mask"], yes], 1),
        )
        before = batch["source_mask"].sum(1, keepdim=True) + 1  # tokens before the answer
        answer = mask & (torch.arange(tokens.shape[1], device=mask.device) >= before)
        return (tokens[:, :-1],), tokens[:, 1:], answer[:, 1:]

    def generate(
        self, source: Tensor, source_mask: Tensor | None = None, max_new_tokens: int | None = None, **options
    ) -> Tensor:
        """As `SequenceModel.generate`; by default as many tokens as fit in max_length."""
        sep = torch.full_like(source[:, :1], SEP)
        source_mask = torch.ones_like(source, dtype=torch.bool) if source_mask is None else source_mask
        prompt, mask = packed(
            torch.cat([source, sep], 1), torch.cat([source_mask, torch.ones_like(sep, dtype=torch.bool)], 1)
        )
        limit = max(self.hparams.max_length + 1 - prompt.shape[1], 1)
        ids = generate(self.network, prompt, mask, max_new_tokens=min(max_new_tokens or limit, limit), **options)
        return ids.masked_fill(ids == EOS, PAD)


def packed(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with padding moved to the right, and no more of it than the longest row needs: (B, L) both."""
    order = (~mask).byte().argsort(dim=1, stable=True)
    length = int(mask.sum(1).max())
    tokens, mask = (x.gather(1, order)[:, :length] for x in (tokens, mask))
    return tokens.masked_fill(~mask, PAD), mask
