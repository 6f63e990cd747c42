"""An exponential moving average of a module's weights."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage(AveragedModel):
    """torch's `AveragedModel`, updated by the device alone: average <- decay * average + (1 - decay) * weights.

    torch's own reads its buffer `n_averaged` in each update, and the host waits until an accelerator has computed all
    that it was asked for. Names in the `state_dict` are the same.

    Args:
        model: whose weights are averaged.
        decay: of an update, by the number of updates before it; the first one copies.
        device: where the average is; by default where the model is.
        use_buffers: average buffers, too; by default they are copied in each update. So are those of whole numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        decay: Callable[[int], float],
        device: torch.device | int | None = None,
        use_buffers: bool = False,
    ):
        super().__init__(model, device, use_buffers=use_buffers)
        self.decay = decay
        self._updates: int | None = 0  # None: not read from the buffer yet

    @property
    def updates(self) -> int:
        """How many updates there were."""
        if self._updates is None:
            self._updates = int(self.n_averaged)
        return self._updates

    def update_parameters(self, model: nn.Module) -> None:
        """One update by the weights of the model, which may be on another device."""
        self._blend(model, 1 - self.decay(self.updates) if self.updates else 1.0)
        self.n_averaged += 1
        self._updates = self.updates + 1

    def copy(self, model: nn.Module) -> None:
        """Become a copy of the model, which does not count as an update."""
        self._blend(model, 1.0)

    @torch.no_grad()
    def _blend(self, model: nn.Module, share: float) -> None:
        _lerp(self.module.parameters(), model.parameters(), share)
        _lerp(self.module.buffers(), model.buffers(), share if self.use_buffers else 1.0)

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        self._updates = None


def _lerp(averages: Iterable[Tensor], weights: Iterable[Tensor], share: float) -> None:
    blended: list[tuple[Tensor, Tensor]] = []
    copied: list[tuple[Tensor, Tensor]] = []
    for average, weight in zip(averages, weights, strict=True):
        kind = blended if share < 1 and average.is_floating_point() else copied
        kind.append((average, weight.to(average.device)))
    if blended:
        torch._foreach_lerp_([a for a, _ in blended], [w for _, w in blended], share)
    if copied:
        torch._foreach_copy_([a for a, _ in copied], [w for _, w in copied])
