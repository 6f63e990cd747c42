"""Groups of parameters for an optimizer."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

OptimizerFactory = Callable[[list[dict[str, Any]], float], Optimizer]
"""Parameter groups and the learning rate -> an optimizer; any class of `torch.optim` is one."""


def no_decay_on_vectors(module: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups in which the optimizer's weight decay acts on matrices and kernels, not on biases and scales.

    The size of a vector does not add to what the network can express; decaying it only slows learning. Parameters
    come with their names, [{"params": [(name, parameter), ...]}, ...], as torch's optimizers take them; a group that
    would be empty is left out.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    matrices = {"params": [(name, p) for name, p in named if p.ndim >= 2]}
    vectors = {"params": [(name, p) for name, p in named if p.ndim < 2], "weight_decay": 0.0}
    return [group for group in (matrices, vectors) if group["params"]]
