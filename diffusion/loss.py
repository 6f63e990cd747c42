"""Training losses: squared errors of a prediction, and how they may be weighted.

B batch.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from diffusion.prediction_type import PredictionType
from diffusion.scheduler import NoiseScheduler
from limits import number


def squared_errors(
    model: Callable[[Tensor, Tensor], Tensor],
    scheduler: NoiseScheduler,
    prediction_type: PredictionType,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
) -> Tensor:
    """Squared errors of the prediction at steps t: Ho et al. 2020, Algorithm 1 and Eq. 14 before the expectation.

    Args:
        model: of (x_t, t), which sees the noised x_0.
        scheduler: of the forward process.
        prediction_type: what the model predicts.
        x0: data (B, ...).
        noise: standard normal (B, ...).
        t: steps (B,).

    Returns:
        (B, ...), shaped like x_0, for the caller to weight and to average.
    """
    predicted = model(scheduler.add_noise(x0, noise, t), t)
    return F.mse_loss(predicted, prediction_type.target(scheduler, x0, noise, t), reduction="none")


def min_snr_weight(scheduler: NoiseScheduler, prediction_type: PredictionType, t: Tensor, gamma: float = 5.0) -> Tensor:
    """Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", Sec. 3.4: weights (B,).

    An error of x_0 counts min(SNR, gamma), whatever the network predicts: steps with hardly any noise, which are easy
    and whose weight would outgrow all others, count no more than those with SNR gamma. The paper's gamma is 5.
    """
    number("(0, 1e9]", gamma=gamma)
    snr = scheduler.snr(t)
    return snr.clamp(max=gamma) * prediction_type.x0_error(snr)
