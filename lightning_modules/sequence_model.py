"""What all sequence models share: loss, optimizer, metrics by real generation, and answers to plain text.

B batch, S source tokens, T target tokens, N tokens of an answer, H heads, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchmetrics import Metric, MetricCollection
from torchmetrics.text import BLEUScore

from decoding.generation_config import GenerationConfig
from devices import asynchronous
from lightning_modules import data_contract
from lightning_modules.optimized_module import OptimizedModule
from lightning_modules.step_log import log_step
from limits import whole
from metrics.distributed_mean import StepMean, log_mean
from networks import attention
from networks.evaluation_mode import evaluating
from networks.transformer import Block
from networks.vocabulary import EOS, PAD, SPECIAL, Vocabulary, with_eos
from optim.lr_schedule import LRSchedule
from optim.parameter_groups import OptimizerFactory

IGNORED = -100  # the label of a position that does not count, for `torch.nn.functional.cross_entropy`
NetworkFactory = Callable[[int], nn.Module]
"""vocab_size -> a network as `networks.sequence_network` describes it."""


class SequenceModel(OptimizedModule):
    """Trained on {"source": (B, S), "source_mask": (B, S), "target": (B, T), "target_mask": (B, T)}, ids and bools.

    Sequences are padded on the right; masks are True at tokens. A subclass says what its network reads and must predict
    (`_inputs_and_labels`), and how it generates answers (`_generate`).

    Logs train/ and val/: loss (cross-entropy of a target token, in nats) and token_accuracy, both with the true tokens
    before it given (teacher forcing); and exact_match, the share of sources whose answer, generated from the source
    alone, is the target to the last token and ends there. At test, exact_match of each loader under its name in the
    datamodule's `test_names`, and `text_metrics` of all loaders' answers and targets as texts.

    Args:
        vocab_size: V, that of the datamodule's tokenizer.
        network: makes the network from vocab_size; it must have the attributes in `needs` (see
            `networks.sequence_network`).
        lr: the highest learning rate.
        optimizer: makes the optimizer from parameter groups and lr.
        lr_schedule: of the learning rate; by default `optim.lr_schedule.WarmupCosine`.
        generation_config: how answers are generated in `predict`, by default greedily, as everywhere else.
        text_metrics: metrics of texts to log at test, by their names, such as
            {"character_error_rate": torchmetrics.text.CharErrorRate()}.

    Raises ValueError for a network that lacks something.
    """

    hub_task = "text-generation"  # of its card (`checkpoints.model_card`)
    usage = "answers = model.answer(texts)  # one for each text"
    needs: tuple[str, ...] = ("features", "logits")
    learns_text = False  # whether it takes free text as well as pairs

    def __init__(
        self,
        vocab_size: int,
        network: NetworkFactory,
        lr: float = 1e-3,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        lr_schedule: LRSchedule | None = None,
        generation_config: GenerationConfig | None = None,
        text_metrics: dict[str, Metric] | None = None,
    ):
        super().__init__(lr, optimizer, lr_schedule)
        whole(SPECIAL + 1, vocab_size=vocab_size)  # the special ids, and at least one of text
        self.save_hyperparameters({"vocab_size": vocab_size, "lr": lr})
        self.vocabulary = Vocabulary()
        self.network: Any = network(vocab_size)
        if missing := [name for name in self.needs if not hasattr(self.network, name)]:
            names = type(self).__name__, type(self.network).__name__
            raise ValueError(
                f"{names[0]} needs a network with {', '.join(self.needs)}, and {names[1]} lacks {', '.join(missing)}; "
                "see networks/sequence_network.py"
            )
        self._mean = StepMean()
        self.generation_options: dict[str, Any] = {} if generation_config is None else asdict(generation_config)
        self.text_metrics = MetricCollection(dict(text_metrics or {}), prefix="test/", compute_groups=False)

    def _inputs_and_labels(self, batch: dict[str, Tensor]) -> tuple[tuple, Tensor, Tensor]:
        """What the network is called with, the labels, and a mask of those that count.

        Labels (B, T) are the tokens that the T positions must predict; they count where the mask (B, T) is True.
        """
        raise NotImplementedError

    def _generate(self, source: Tensor, source_mask: Tensor, max_new_tokens: int | None) -> Tensor:
        """Answers to ids (B, S), padded on the right where the mask is False, as `generate` gives them."""
        raise NotImplementedError

    @torch.inference_mode()
    def generate(
        self, source: Tensor, source_mask: Tensor | None = None, max_new_tokens: int | None = None, **options
    ) -> Tensor:
        """Answers: ids (B, S) with a mask that is True at tokens (by default, at all but PAD) -> ids (B, N).

        An answer ends with EOS, and PAD follows; one without EOS was cut off after max_new_tokens, or where the network
        can read no more. It holds no other special id. Options are those of `decoding.generate.generate`. The module
        answers in evaluation mode; its own mode is restored afterwards.
        """
        if max_new_tokens is not None:
            whole(max_new_tokens=max_new_tokens)
        source, source_mask = packed(source, source != PAD if source_mask is None else source_mask)
        with evaluating(self):
            return self._generate(source, source_mask, max_new_tokens, **options)

    def answer(self, texts: list[str], **options) -> list[str]:
        """Answers to texts, by `generate` with these options. Raises ValueError for empty, unknown or too long text."""
        rows = [torch.tensor(ids, dtype=torch.long) for ids in self.vocabulary.encode(texts)]
        if not all(map(len, rows)):
            raise ValueError("a text to answer is empty; give at least one token")
        if not rows:
            return []
        source = pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.device)
        return self._decoded(self.generate(source, **options))

    def _decoded(self, answers: Tensor) -> list[str]:
        """Answers (B, N) as texts. Warns where some were cut off, which a text does not show."""
        cut_off = int((answers != EOS).all(1).sum())
        if cut_off:
            rank_zero_warn(f"{cut_off} of {len(answers)} answers were cut off before they ended")
        return self.vocabulary.decode(answers)

    def attention_maps(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each head attends to while the network reads the batch: {layer's attention: (B, H, T, L)}."""
        inputs, _, _ = self._inputs_and_labels(batch)
        return attention.weights(self.network, *inputs)

    def setup(self, stage: str) -> None:
        if not self.learns_text:
            data_contract.check_paired(self)
        tokenizer = data_contract.tokenizer(self, self.hparams.vocab_size)
        if tokenizer is not None:
            self.vocabulary.adopt(tokenizer)

    def compilable_parts(self) -> list[nn.Module]:
        """Each Transformer block: a training step calls parts of the network, not the whole."""
        return [part for part in self.network.modules() if isinstance(part, Block)]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss, accuracy, tokens = self._loss(batch)
        log_step(self, "train/loss", loss, prog_bar=True)
        log_step(self, "train/token_accuracy", accuracy)
        return loss * self._mean.weight(self, tokens)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self._mean.settle(self, optimizer)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        loss, accuracy, tokens = self._loss(batch)
        exact = self._exact(batch)
        log_mean(self, "val/loss", loss, int(tokens), prog_bar=True)
        log_mean(self, "val/token_accuracy", accuracy, int(tokens))
        log_mean(self, "val/exact_match", exact.mean(), len(exact), prog_bar=True)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        name = data_contract.metric_of_loader(self, dataloader_idx)
        answers = self._answers(batch)
        exact = self.is_exact(answers, batch).float()
        log_mean(self, f"test/{name}", exact.mean(), len(exact), add_dataloader_idx=False)
        if self.text_metrics:
            written, targets = self.vocabulary.decode(answers), self.vocabulary.decode(batch["target"])
            for metric in self.text_metrics.values():
                # Of all metrics, only BLEU's takes a text for a list of references, one a character.
                metric.update(written, [[text] for text in targets] if isinstance(metric, BLEUScore) else targets)

    def on_test_epoch_end(self) -> None:
        if self.text_metrics:
            self.log_dict(self.text_metrics.compute())
            self.text_metrics.reset()

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[str]:
        return self._decoded(self.generate(batch["source"], batch["source_mask"], **self.generation_options))

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Mean cross-entropy of all tokens to predict, the share of them that are predicted right, and their number."""
        inputs, labels, counts = self._inputs_and_labels(batch)
        features, tokens = self.network.features(*inputs), counts.sum()
        if not asynchronous(counts.device):
            # Only the logits that count are made: with a large vocabulary they cost the most.
            features, labels, counts = features[counts], labels[counts], counts[counts]
        logits = self.network.logits(features)
        loss = F.cross_entropy(logits.flatten(0, -2).float(), labels.masked_fill(~counts, IGNORED).flatten())
        right = (logits.argmax(-1) == labels) & counts
        return loss, right.sum() / tokens, tokens

    def _answers(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to the sources, (B, N): as long as the longest target and its EOS, at most."""
        return self.generate(batch["source"], batch["source_mask"], max_new_tokens=batch["target"].shape[1] + 1)

    def _exact(self, batch: dict[str, Tensor]) -> Tensor:
        """(B,), 1 where the answer to the source is the target."""
        return self.is_exact(self._answers(batch), batch).float()

    def is_exact(self, answers: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B,), whether answers (B, N) are the targets to the last token, and end there."""
        expected = with_eos(batch["target"], batch["target_mask"])
        longest = max(answers.shape[1], expected.shape[1])
        answers, expected = (F.pad(x, (0, longest - x.shape[1]), value=PAD) for x in (answers, expected))
        return (answers == expected).all(1)


def packed(tokens: Tensor, mask: Tensor, enough: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens and mask with all padding moved to the right, cut to the longest row: (B, L) each.

    Rows of no more than `enough` tokens, padding included, are cut only where their lengths can be read without waiting
    for the device.
    """
    order, length = (~mask).byte().argsort(dim=1, stable=True), mask.shape[1]
    if length > enough or not asynchronous(mask.device):
        length = max(mask.sum(1).tolist(), default=0)
    tokens, mask = (x.gather(1, order)[:, :length] for x in (tokens, mask))
    return tokens.masked_fill(~mask, PAD), mask
