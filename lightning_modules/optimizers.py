"""What all families do alike when they configure an optimizer."""

import math

from torch import nn, optim

DECAYS = {  # share of the highest learning rate by the share of the fall that is over
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share: 1 - share,
}


def decay_matrices(module: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups for a torch optimizer: weight decay on matrices and kernels, none on biases and scales.

    A vector's size does not add to what the network can express; pulling it to zero only slows learning.
    """
    matrices = [p for p in module.parameters() if p.ndim >= 2]
    vectors = [p for p in module.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def one_cycle(step: int, total: int, warmup: float, decay: str = "cosine") -> float:
    """Share of the highest learning rate: up linearly over `warmup * total` steps, then down to 0 as `DECAYS` say."""
    rise = warmup * total
    if step < rise:
        return (step + 1) / (rise + 1)
    return DECAYS[decay](min(1.0, (step - rise) / (total - rise)))


def with_one_cycle(optimizer: optim.Optimizer, total: int, warmup: float, decay: str = "cosine") -> dict:
    """What `configure_optimizers` returns for an optimizer whose learning rate follows `one_cycle`, step by step."""
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, total, warmup, decay))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
