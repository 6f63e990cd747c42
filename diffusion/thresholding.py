"""Keeping a predicted x_0 within [-1, 1], where data scaled to that range lie: Saharia et al. 2022 (Imagen), Sec. 2.3.

High guidance scales push predictions out of the range; fed back at every step, they end as saturated images.

B batch.
"""

from abc import ABC, abstractmethod

from torch import Tensor


class Thresholding(ABC):
    """A function of the x_0 that is predicted at a step, applied before the step to x_{t-1}."""

    @abstractmethod
    def __call__(self, x0: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""


class NoThresholding(Thresholding):
    """x_0 as it is."""

    def __call__(self, x0: Tensor) -> Tensor:
        return x0


class StaticThresholding(Thresholding):
    """x_0 clipped to [-1, 1]."""

    def __call__(self, x0: Tensor) -> Tensor:
        return x0.clamp(-1, 1)


class DynamicThresholding(Thresholding):
    """x_0 clipped to [-s, s] and divided by s, a percentile of each sample's own |x_0|, but never below 1.

    A sample within the range stays as it is; one beyond it is pulled inward as a whole.

    Args:
        percentile: as a share, above 0 and at most 1.
    """

    def __init__(self, percentile: float = 0.995):
        if not 0 < percentile <= 1:
            raise ValueError(f"percentile={percentile} must be above 0 and at most 1: it is a share, such as 0.995")
        self.percentile = percentile

    def __call__(self, x0: Tensor) -> Tensor:
        size = x0.float().abs().flatten(1).quantile(self.percentile, dim=1).clamp(min=1)  # (B,)
        size = size.reshape(-1, *[1] * (x0.ndim - 1)).to(x0.dtype)
        return x0.clamp(-size, size) / size
