"""Sets that lie in memory as a whole: the CPU's, or the trainer's GPU's, where they fit.

    set on the CPU ─► once ─► set on the GPU ─┐
    indices of a batch ─► pinned memory ──────┴─► batch on the GPU ─► augmentation there

On a GPU a training step then moves a few kilobytes of indices, and nothing of it waits: Lightning leaves a batch alone
that is where it should be. Order, shares of several processes and resuming are the loader's affair, on the CPU
(`datamodules.stateful_loader`), so that batches are the same wherever the set lies. A set that stays on the CPU is read
into pinned memory, from which Lightning's copy to a GPU does not wait either.

On a CPU nothing of this acts.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import lightning as L
import torch
from lightning.fabric.utilities.data import AttributeDict
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.stateful_loader import StatefulLoader, already_collated

OnDevice = bool | Literal["auto"]
SHARE = 0.25  # of a GPU's free memory, that one set takes at most by itself: the rest is the model's


class ResidentSet(Dataset, ABC):
    """Rows in tensors that can be moved to a device, a batch at a time.

    Attributes:
        held: names of the attributes that `to` moves, all of them tensors.
    """

    held: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """A batch, on the set's device."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    @property
    def nbytes(self) -> int:
        """The memory that `to` takes."""
        return sum(getattr(self, name).nbytes for name in self.held)

    def to(self, device: torch.device | str) -> Self:
        """The same rows on a device."""
        moved = copy.copy(self)
        for name in self.held:
            setattr(moved, name, getattr(self, name).to(device))
        return moved


def index_on(device: torch.device, indices: Sequence[int]) -> Tensor:
    """The indices of a batch as a tensor on a device: (B,). On a GPU nothing waits for them."""
    index = torch.as_tensor(indices)
    if device.type != "cuda":
        return index.to(device)
    return index.pin_memory().to(device, non_blocking=True)  # from other memory the copy would wait for all work


class ResidentDataModule(L.LightningDataModule):
    """Data in memory, on the trainer's device where they fit. A subclass has the hyperparameter `batch_size`.

    Args:
        on_device: whether sets are held on the trainer's GPU: with "auto" each that takes at most a quarter of the
            memory that is free there when its loader is made; of devices that are not CUDA's (or ROCm's) that is not
            known, and only true puts sets there. False leaves them on the CPU.

    Raises ValueError for another `on_device`.
    """

    hparams: AttributeDict

    def __init__(self, on_device: OnDevice = "auto"):
        super().__init__()
        if on_device != "auto" and not isinstance(on_device, bool):
            raise ValueError(
                f"on_device={on_device!r} is unknown; use true (hold the data on the GPU), false (on the CPU) or auto "
                "(on the GPU where they fit)"
            )
        self.on_device = on_device

    def prepare_data(self) -> None:
        """With several processes on a machine, let one download and decode what the others then find on its disk."""
        if self.trainer and self.trainer.num_devices > 1:
            one = copy.copy(self)  # what is set here would be set in one process only
            one.setup(self.trainer.state.fn)  # type: ignore[arg-type]  # None only outside of runs

    def loader(self, rows: ResidentSet, **options) -> StatefulLoader:
        """Batches of the rows, which are moved to the trainer's device first where `on_device` says so.

        Args:
            rows: what to read.
            **options: those of `StatefulLoader`.
        """
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        placed = self._placed(rows, device)
        pinned = device.type == "cuda" and placed is rows
        return StatefulLoader(
            placed, batch_size=self.hparams.batch_size, collate_fn=already_collated, pin_memory=pinned, **options
        )

    def _placed(self, rows: ResidentSet, device: torch.device) -> ResidentSet:
        if device.type == "cpu" or not self.on_device or (self.on_device == "auto" and not _fits(rows, device)):
            return rows
        try:
            return rows.to(device)
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"on_device={self.on_device}: a set of {rows.nbytes / 1e9:.1f} GB finds no room on {device}; take "
                "false, which leaves it on the CPU"
            ) from error


def _fits(rows: ResidentSet, device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return rows.nbytes <= SHARE * free
