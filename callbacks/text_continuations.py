"""How a language model goes on with beginnings of held-out text."""

from typing import Any, cast

import lightning as L
from torch import Tensor

from callbacks.module_protocols import TextWriter
from callbacks.text_table import TextTable
from limits import number, whole


class TextContinuations(TextTable):
    """Logs a table "val/samples" of beginnings, the text behind them and the model's own, at every validation.

    Draws are the same each time.

    Args:
        count: rows of the table.
        prompt_tokens: how much of each row the model is given.
        max_new_tokens: how much it writes, at most.
        temperature: 0 takes the likeliest token; otherwise tokens are drawn.
        seed: of the draws.
    """

    asks, columns, reads = TextWriter, ("prompt", "as it goes on", "as the model goes on"), "tokens"
    otherwise = "goes on with free text, and these data are pairs; take callbacks.text_samples.TextSamples"

    def __init__(
        self,
        count: int = 4,
        prompt_tokens: int = 32,
        max_new_tokens: int = 64,
        temperature: float = 0.8,
        seed: int = 0,
    ):
        super().__init__(count)
        whole(prompt_tokens=prompt_tokens, max_new_tokens=max_new_tokens)
        whole(0, seed=seed)
        number("[0, inf)", temperature=temperature)
        self.prompt_tokens = prompt_tokens
        self.options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}

    def rows(self, module: L.LightningModule, batch: dict[str, Tensor]) -> list[tuple[str, ...]]:
        """Beginnings of the batch's rows, what follows in them, and what the module writes there."""
        writer, tokens = cast(TextWriter, module), batch["tokens"].to(module.device)
        first = min(self.prompt_tokens, tokens.shape[1] - 1)
        written = writer.go_on(tokens[:, :first], **self.options)
        parts = (tokens[:, :first], tokens[:, first : first + self.options["max_new_tokens"]], written)
        return list(zip(*(writer.vocabulary.decode(ids) for ids in parts), strict=True))
