"""What the network predicts: the noise, x_0, or the velocity. An objective is a target to train on and its way back.

Each objective is a pair of functions of tensors (B, ...) and steps `t` (B,):

    target(scheduler, x0, noise, t)    what the network should say
    x0(scheduler, x_t, output, t)      the x_0 that an output stands for
"""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from diffusion.scheduler import NoiseScheduler


class Objective(NamedTuple):
    """A prediction target and the x_0 that a prediction implies."""

    target: Callable[[NoiseScheduler, Tensor, Tensor, Tensor], Tensor]
    x0: Callable[[NoiseScheduler, Tensor, Tensor, Tensor], Tensor]


OBJECTIVES = {
    # Ho et al. 2020, Eq. 14
    "noise": Objective(lambda s, x0, noise, t: noise, lambda s, x_t, output, t: s.x0_from_noise(x_t, output, t)),
    "x0": Objective(lambda s, x0, noise, t: x0, lambda s, x_t, output, t: output),
    # Salimans & Ho 2022, Appendix D
    "v": Objective(
        lambda s, x0, noise, t: s.velocity(x0, noise, t), lambda s, x_t, output, t: s.x0_from_velocity(x_t, output, t)
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
