"""Sequences to sequences by a decoder alone: question and answer are one text, of which the answer is learned.

    reads       s1  s2  s3  SEP t1  t2  t3
    predicts                t1  t2  t3  EOS
    position    0   1   2   0   1   2   3

B batch, S source tokens, T target tokens, L = S + T + 2.
"""

import torch
from torch import Tensor

from decoding.generate import generate
from lightning_modules.sequence_model import NetworkFactory, SequenceModel, packed
from networks.transformer import AnswerDecoder
from networks.vocabulary import EOS, SEP, UNWRITTEN
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory


class LanguageModel(SequenceModel):
    """A `SequenceModel` on a decoder.

    Args:
        vocab_size, lr, optimizer, lr_schedule: as for `SequenceModel`.
        network: makes a `DecoderNetwork` from vocab_size; its max_length holds for source, SEP and target together.
    """

    needs = ("features", "logits", "cache", "max_length", "vocab_size")

    def __init__(
        self,
        vocab_size: int,
        network: NetworkFactory = AnswerDecoder,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
    ):
        super().__init__(vocab_size, network, lr, optimizer, lr_schedule)

    def _inputs_and_labels(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        source, target = batch["source"], batch["target"]
        sep, eos = (source.new_full((len(source), 1), mark) for mark in (SEP, EOS))
        yes = torch.ones_like(sep, dtype=torch.bool)
        tokens, mask = packed(
            torch.cat([source, sep, target, eos], 1),
            torch.cat([batch["source_mask"], yes, batch["target_mask"], yes], 1),
            enough=self.network.max_length + 1,  # the last one is only predicted
        )
        before = batch["source_mask"].sum(1, keepdim=True) + 1  # tokens before the answer
        answer = mask & (torch.arange(tokens.shape[1], device=mask.device) >= before)
        return (tokens[:, :-1],), tokens[:, 1:], answer[:, 1:]

    def _generate(self, source: Tensor, source_mask: Tensor, max_new_tokens: int | None, **options) -> Tensor:
        sep = source.new_full((len(source), 1), SEP)
        prompt, mask = packed(torch.cat([source, sep], 1), torch.cat([source_mask, torch.ones_like(sep).bool()], 1))
        return generate(self.network, prompt, mask, max_new_tokens=max_new_tokens, suppress_tokens=UNWRITTEN, **options)
