"""Which part of the training data is held out for validation, and what follows where that is none."""

import hashlib
from collections.abc import Sequence

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

import limits


def check(val_share: float, split_seed: int) -> None:
    """Raises ValueError for a share or a seed that is out of range."""
    limits.number("[0, 1)", val_share=val_share)
    limits.whole(0, 2**63 - 1, split_seed=split_seed)


def check_shares(val_share: float, test_share: float) -> None:
    """Raises ValueError for shares that are out of range, or leave nothing to train on."""
    limits.number("[0, 1)", val_share=val_share, test_share=test_share)
    if val_share + test_share >= 1:
        raise ValueError(f"val_share={val_share} and test_share={test_share} leave nothing to train on; lower them")


def split(count: int, what: str, val_share: float, split_seed: int, at_least: int = 0) -> tuple[Tensor, Tensor]:
    """Indices of `count` things (`what` they are) to train on and to validate with, drawn by `split_seed`.

    At least `at_least` are held out where `val_share` is above 0. Raises ValueError where none is left to train on.
    """
    limits.whole(count=count)
    limits.whole(0, at_least=at_least)
    check(val_share, split_seed)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(split_seed))
    n_val = max(at_least, round(val_share * count)) if val_share else 0
    if n_val >= count:
        raise ValueError(
            f"val_share={val_share} leaves none of {count} {what} to train on; lower it: 0 holds nothing out"
        )
    return order[n_val:], order[:n_val]


def split_by_content(contents: Sequence[bytes], what: str, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """As `split`, but by what things are: equal ones are on the same side, wherever they lie and whatever their order.

    Their hashes with the seed put the different contents in order, and the first `share` of them, at least one where it
    is above 0, is held out. When things are added, few others change sides.

    Args:
        contents: of each thing, such as a digest.
        what: they are, for messages.
        share: of the different contents.
        seed: of their order.
    """
    check(share, seed)
    salt = str(seed).encode()
    order = sorted(set(contents), key=lambda content: hashlib.sha256(salt + content).digest())
    count = max(1, round(share * len(order))) if share else 0
    if count >= len(order):
        raise ValueError(
            f"a held-out share of {share} leaves none of {len(order)} different {what} to train on; lower it: 0 holds "
            "nothing out"
        )
    held_out = set(order[:count])
    side = torch.tensor([content in held_out for content in contents], dtype=torch.bool)
    return (~side).nonzero()[:, 0], side.nonzero()[:, 0]


def no_validation(data: L.LightningDataModule) -> list:
    """The validation loaders where nothing is held out: none.

    Raises ValueError where a callback of the run waits for a metric that only validation measures.
    """
    callbacks = data.trainer.callbacks if data.trainer else ()  # type: ignore[attr-defined]  # set by a connector
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None) or ""
        if monitor.startswith("val/"):
            name = type(callback).__name__
            option = "--checkpoint.monitor null" if isinstance(callback, ModelCheckpoint) else f"a run without {name}"
            raise ValueError(
                f"val_share={data.hparams['val_share']} holds nothing out, so that {monitor}, which {name} waits for, "
                f"is never measured; hold something out, or go on with {option}"
            )
    return []
