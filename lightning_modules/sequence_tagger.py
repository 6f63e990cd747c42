"""A token for every token, by an encoder alone: it sees the whole source and predicts the whole target at once.

    reads       BOS  s1  s2  s3
    predicts         t1  t2  t3

Attention averages, so by itself a network cannot count tokens; the constant BOS makes that possible.

B batch, S source tokens = target tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from checkpoints.onnx_function import OnnxFunction
from devices import asynchronous
from lightning_modules.onnx_text import LOGITS, tokens_and_mask, vocabulary_metadata
from lightning_modules.sequence_model import NetworkFactory, SequenceModel
from networks.transformer import Encoder
from networks.vocabulary import PAD, SPECIAL, after_bos, with_eos
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory


class SequenceTagger(SequenceModel):
    """A `SequenceModel` on an encoder, for targets as long as their sources.

    Args:
        vocab_size, lr, optimizer, lr_schedule: as for `SequenceModel`.
        network: makes an `EncoderNetwork` from vocab_size; its max_length holds for BOS and source together.
    """

    hub_task = "token-classification"

    def __init__(
        self,
        vocab_size: int,
        network: NetworkFactory = Encoder,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
    ):
        super().__init__(vocab_size, network, lr, optimizer, lr_schedule)

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Look at the first batch of an epoch; where the host would wait for it, training does not look at others."""
        if batch_idx == 0:
            _check_lengths(batch)

    def _inputs_and_labels(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        mask = batch["source_mask"]
        if not (self.training and asynchronous(mask.device)):
            _check_lengths(batch)
        labels, counts = F.pad(batch["target"], (1, 0), value=PAD), F.pad(mask, (1, 0), value=False)
        return after_bos(batch["source"], mask), labels, counts

    def _generate(self, source: Tensor, source_mask: Tensor, max_new_tokens: int | None) -> Tensor:
        """The likeliest text token at every position of the source, then EOS: (B, S + 1)."""
        logits = self.network.logits(self.network.features(*after_bos(source, source_mask))[:, 1:])
        ids = logits[..., SPECIAL:].argmax(-1) + SPECIAL
        return with_eos(ids, source_mask)[:, :max_new_tokens]

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """The network, as `checkpoints.onnx_function.OnnxExportable` says."""
        meaning = "token ids: BOS, then the source, padded on the right; the logits of its places are the target's"
        inputs = tokens_and_mask("tokens", self.hparams.vocab_size, "length", meaning)
        outputs, metadata = {"logits": LOGITS.format("length")}, vocabulary_metadata(self.vocabulary)
        return {"": OnnxFunction(self.network, inputs, outputs, metadata)}


def _check_lengths(batch: dict[str, Tensor]) -> None:
    source, target = batch["source_mask"], batch["target_mask"]
    if source.shape != target.shape or not source.equal(target):
        raise ValueError(
            "an encoder alone gives one token for each token of the source, and here targets are of other lengths; "
            "use Seq2Seq or LanguageModel for such data"
        )
