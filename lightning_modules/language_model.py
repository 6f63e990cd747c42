"""Text by a decoder alone: free text, each token of which is learned, or question and answer as one text.

    free text     reads       t1  t2  t3  t4
                  predicts    t2  t3  t4  t5

    pairs         reads       s1  s2  s3  SEP t1  t2  t3
                  predicts                    t1  t2  t3  EOS
                  position    0   1   2   0   1   2   3        of an `AnswerDecoder`

B batch, S source tokens, T target tokens, P tokens of a prompt, N new tokens, V vocabulary.
"""

import math

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchmetrics import Metric

from checkpoints.onnx_function import OnnxFunction
from decoding.generate import generate
from decoding.generation_config import GenerationConfig
from lightning_modules.onnx_text import LOGITS, cached_step_function, tokens_and_mask, vocabulary_metadata
from lightning_modules.sequence_model import NetworkFactory, SequenceModel, packed
from metrics.distributed_mean import log_mean
from networks.transformer import AnswerDecoder
from networks.vocabulary import EOS, PAD, SEP, UNWRITTEN
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory


class LanguageModel(SequenceModel):
    """A `SequenceModel` on a decoder, which learns free text as well: batches {"tokens": (B, T + 1)}.

    Of free text it logs train/loss, and at validation and test loss (of a token, in nats), token_accuracy, and
    bits_per_character, which does not depend on the tokenizer: the loss of all tokens over all characters that they
    write, in bits. In `predict` it goes on with a batch of prompts, {"tokens": (B, P)}.

    Args:
        vocab_size, lr, optimizer, lr_schedule, generation_config, text_metrics: as for `SequenceModel`.
        network: makes a `DecoderNetwork` from vocab_size; its max_length holds for source, SEP and target together.
    """

    needs = ("features", "logits", "cache", "max_length", "vocab_size")
    learns_text = True
    usage = 'texts = model.write(["Once"])'

    def __init__(
        self,
        vocab_size: int,
        network: NetworkFactory = AnswerDecoder,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
        generation_config: GenerationConfig | None = None,
        text_metrics: dict[str, Metric] | None = None,
    ):
        super().__init__(vocab_size, network, lr, optimizer, lr_schedule, generation_config, text_metrics)
        self._characters: Tensor | None = None  # that each token writes, (V,)

    def write(self, prompts: list[str], **options) -> list[str]:
        """Texts that go on from prompts, these included, by `go_on` with these options.

        A text ends where a document would, after max_new_tokens, or where the network can read no more. Raises
        ValueError for an empty, unknown or too long prompt.
        """
        rows = self.vocabulary.encode(prompts)
        if not all(rows):
            raise ValueError("a prompt is empty; give at least one token")
        if not rows:
            return []
        tokens = pad_sequence([torch.tensor(ids) for ids in rows], batch_first=True, padding_value=PAD).to(self.device)
        ids = self.go_on(tokens, tokens != PAD, **options)
        return [self.vocabulary.decode([row + new])[0] for row, new in zip(rows, ids.tolist(), strict=True)]

    def _inputs_and_labels(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        if "tokens" in batch:
            read, labels = batch["tokens"][:, :-1], batch["tokens"][:, 1:]
            return (read,), labels, torch.ones_like(labels, dtype=torch.bool)
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
        return self.go_on(prompt, mask, max_new_tokens=max_new_tokens, **options)

    def go_on(self, tokens: Tensor, mask: Tensor | None = None, **options) -> Tensor:
        """What follows on prompts (B, P), right-padded where the mask is False: (B, N), as `generate` gives them."""
        return generate(self.network, tokens, mask, suppress_tokens=UNWRITTEN, **options)

    def on_validation_start(self) -> None:
        if self.vocabulary.size:
            self._characters = self.vocabulary.characters().to(self.device)

    on_test_start = on_validation_start

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        if "tokens" in batch:
            self._measure(batch, "val")
        else:
            super().validation_step(batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        if "tokens" in batch:
            self._measure(batch, "test")
        else:
            super().test_step(batch, batch_idx, dataloader_idx)

    def _measure(self, batch: dict[str, Tensor], stage: str) -> None:
        loss, accuracy, tokens = self._loss(batch)
        log_mean(self, f"{stage}/loss", loss, int(tokens), prog_bar=True)
        log_mean(self, f"{stage}/token_accuracy", accuracy, int(tokens))
        if self._characters is not None:
            characters = int(self._characters[batch["tokens"][:, 1:]].sum())
            bits = loss * tokens / math.log(2) / max(1, characters)
            log_mean(self, f"{stage}/bits_per_character", bits, characters, prog_bar=True)

    def onnx_functions(self) -> dict[str, OnnxFunction]:
        """The network, and its step with a cache, as `checkpoints.onnx_function.OnnxExportable` says."""
        metadata = vocabulary_metadata(self.vocabulary)
        meaning = "token ids, padded on the right; the logits of each place are of the token after it"
        inputs = tokens_and_mask("tokens", self.hparams.vocab_size, "length", meaning)
        step = cached_step_function(self.network, metadata)
        functions = {"": OnnxFunction(self.network, inputs, {"logits": LOGITS.format("length")}, metadata)}
        return functions if step is None else functions | {"_step": step}

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[str]:
        if "tokens" not in batch:
            return super().predict_step(batch, batch_idx)
        ids = self.go_on(batch["tokens"], **self.generation_options)
        return self.vocabulary.decode(torch.cat([batch["tokens"], ids], 1))
