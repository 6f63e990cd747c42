"""The tokenizer of a datamodule that answers a question alone, and has read no text to learn one from."""

from typing import cast

import lightning as L
from tokenizers import Tokenizer

from networks.vocabulary import Vocabulary


def carried_tokenizer(data: L.LightningDataModule) -> Tokenizer | None:
    """The data's tokenizer, or else the one that the weights of its trainer's module carry."""
    own = cast(Tokenizer | None, data.tokenizer)  # type: ignore[attr-defined]
    if own is None and data.trainer:
        return cast(Vocabulary, data.trainer.lightning_module.vocabulary).tokenizer
    return own
