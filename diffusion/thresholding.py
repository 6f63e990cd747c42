"""Keeping a predicted x_0 within [-1, 1], where data scaled to that range lie: Saharia et al. 2022 (Imagen), Sec. 2.3.

High guidance scales push predictions out of the range; fed back at every step, they end as saturated pictures. Each
function takes and gives x_0 (B, ...), before the step to x_{t-1}.
"""

from torch import Tensor


def none(x0: Tensor) -> Tensor:
    """As it is."""
    return x0


def static(x0: Tensor) -> Tensor:
    """Clipped: what lies beyond -1 or 1 ends there."""
    return x0.clamp(-1, 1)


def dynamic(x0: Tensor, percentile: float = 0.995) -> Tensor:
    """Clipped to [-s, s] and divided by s, the percentile of each sample's own |x_0|, but never below 1.

    A sample within the range stays as it is; one beyond it is pulled inward as a whole.
    """
    if not 0 < percentile <= 1:
        raise ValueError(f"percentile={percentile} must be above 0 and at most 1: it is a share, such as 0.995")
    size = x0.float().abs().flatten(1).quantile(percentile, dim=1).clamp(min=1)  # (B,)
    size = size.reshape(-1, *[1] * (x0.ndim - 1)).to(x0.dtype)
    return x0.clamp(-size, size) / size


THRESHOLDS = {"none": none, "static": static, "dynamic": dynamic}
