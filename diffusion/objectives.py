"""What the network predicts: the noise, x_0, or the velocity. An objective is a target to train on and its way back.

Each objective is three functions of tensors (B, ...) and steps `t` (B,):

    target(scheduler, x0, noise, t)    what the network should say
    x0(scheduler, x_t, output, t)      the x_0 that an output stands for
    x0_error(snr)                      the squared error of that x_0 where the output's is 1, (B,) -> (B,)
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.scheduler import NoiseScheduler
from limits import number


class Objective(NamedTuple):
    """A prediction target, the x_0 that a prediction implies, and how errors of the one become errors of the other."""

    target: Callable[[NoiseScheduler, Tensor, Tensor, Tensor], Tensor]
    x0: Callable[[NoiseScheduler, Tensor, Tensor, Tensor], Tensor]
    x0_error: Callable[[Tensor], Tensor]


OBJECTIVES = {
    # Ho et al. 2020, Eq. 14
    "noise": Objective(
        lambda s, x0, noise, t: noise, lambda s, x_t, output, t: s.x0_from_noise(x_t, output, t), lambda snr: 1 / snr
    ),
    "x0": Objective(lambda s, x0, noise, t: x0, lambda s, x_t, output, t: output, torch.ones_like),
    # Salimans & Ho 2022, Appendix D
    "v": Objective(
        lambda s, x0, noise, t: s.velocity(x0, noise, t),
        lambda s, x_t, output, t: s.x0_from_velocity(x_t, output, t),
        lambda snr: 1 / (1 + snr),
    ),
}


def errors(
    model: Callable[[Tensor, Tensor], Tensor],
    scheduler: NoiseScheduler,
    objective: Objective,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
) -> Tensor:
    """Squared errors of the prediction at steps t: Ho et al. 2020, Algorithm 1 and Eq. 14 before the expectation.

    `model(x_t, t)` sees the noised x_0. Returns (B, ...), shaped like x_0, for the caller to weigh and to average.
    """
    output = model(scheduler.add_noise(x0, noise, t), t)
    return F.mse_loss(output, objective.target(scheduler, x0, noise, t), reduction="none")


def min_snr_weight(scheduler: NoiseScheduler, objective: Objective, t: Tensor, gamma: float = 5.0) -> Tensor:
    """Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", Sec. 3.4: weights (B,).

    An error of x_0 counts min(SNR, gamma), whatever the network predicts: steps with hardly any noise, which are easy
    and whose weight would outgrow all others, count no more than those with SNR gamma.
    """
    number("(0, 1e9]", gamma=gamma)  # the paper's is 5
    snr = scheduler.snr(t)
    return snr.clamp(max=gamma) * objective.x0_error(snr)
