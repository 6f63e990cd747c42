"""Sequences to sequences by an encoder-decoder, trained with teacher forcing.

    encoder reads    BOS s1  s2  s3
    decoder reads    BOS t1  t2  t3
    and predicts     t1  t2  t3  EOS

Attention averages, so by itself a network cannot count tokens; the constant BOS makes that possible.

B batch, S source tokens, T target tokens.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from checkpoints.onnx_function import OnnxFunction
from decoding.generate import generate
from decoding.generation_config import GenerationConfig
from lightning_modules.onnx_text import LOGITS, cached_step_function, tokens_and_mask, vocabulary_metadata
from lightning_modules.sequence_model import NetworkFactory, SequenceModel
from networks.transformer import EncoderDecoder, Memory
from networks.vocabulary import BOS, UNWRITTEN, after_bos, with_eos
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory


class Seq2Seq(SequenceModel):
    """A `SequenceModel` on an encoder-decoder.

    Args:
        vocab_size, lr, optimizer, lr_schedule, generation_config, text_metrics: as for `SequenceModel`.
        network: makes an `EncoderDecoderNetwork` from vocab_size; its max_length holds for source and target each, BOS
            included.
    """

    needs = ("features", "logits", "encode", "decoder")

    def __init__(
        self,
        vocab_size: int,
        network: NetworkFactory = EncoderDecoder,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
        generation_config: GenerationConfig | None = None,
        text_metrics: dict[str, Metric] | None = None,
    ):
        super().__init__(vocab_size, network, lr, optimizer, lr_schedule, generation_config, text_metrics)

    def _inputs_and_labels(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        target, mask = batch["target"], batch["target_mask"]
        labels = with_eos(target, mask)  # (B, T + 1)
        shifted, counts = after_bos(target, mask)  # padding on the right comes after all tokens that count
        source, source_mask = after_bos(batch["source"], batch["source_mask"])
        return (source, shifted, source_mask), labels, counts

    def _generate(self, source: Tensor, source_mask: Tensor, max_new_tokens: int | None, **options) -> Tensor:
        memory = self.network.encode(*after_bos(source, source_mask))
        begin = source.new_full((len(source), 1), BOS)
        return generate(
            self.network.decoder,
            begin,
            memory=memory,
            max_new_tokens=max_new_tokens,
            suppress_tokens=UNWRITTEN,
            **options,
        )

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """The network, its encoder, and its decoder's step, as `checkpoints.onnx_function.OnnxExportable` says."""
        vocab_size, metadata = self.hparams.vocab_size, vocabulary_metadata(self.vocabulary)
        source = tokens_and_mask("source", vocab_size, "source", "token ids: BOS, then the source")
        target = tokens_and_mask("target", vocab_size, "target", "token ids: BOS, then what is written so far")

        def whole(source: Tensor, source_mask: Tensor, target: Tensor, target_mask: Tensor) -> Tensor:
            return self.network(source, target, source_mask, target_mask)

        functions = {"": OnnxFunction(whole, source | target, {"logits": LOGITS.format("target")}, metadata)}
        with torch.no_grad():
            memory = self.network.encode(*(given.example for given in source.values()))
        if not isinstance(memory, Memory):
            return functions
        step = cached_step_function(self.network.decoder, metadata, memory)
        if step is None:
            return functions

        def encode(source: Tensor, source_mask: Tensor) -> Tensor:
            return torch.stack(self.network.encode(source, source_mask).keys_values)

        encoder = OnnxFunction(encode, source, {"memory": "the source as _step takes it"}, metadata)
        return functions | {"_encode": encoder, "_step": step}
