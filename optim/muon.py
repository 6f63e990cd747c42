"""Muon for the hidden matrices of a network, AdamW for everything else (Jordan et al. 2024; Liu et al. 2025)."""

from typing import Any

from torch import optim
from torch.nn import Parameter

from limits import number
from optim.combined_optimizer import CombinedOptimizer
from optim.distributed_muon import DistributedMuon

EMBEDDINGS = ("embedding", "positions", "head")  # parts of names of matrices that are not hidden layers


class MuonWithAdamW(CombinedOptimizer):
    """`torch.optim.Muon` on the matrices of hidden layers, `torch.optim.AdamW` on embeddings, heads and all others.

    Muon's updates are scaled to the root mean square of AdamW's (Liu et al. 2025, "Muon is Scalable for LLM Training",
    Eq. 4), so that both take the same learning rate.

    Args:
        params: parameter groups with names (`optim.parameter_groups`).
        lr: of both.
        betas: AdamW's.
        momentum: Muon's.
        weight_decay: of the hidden matrices, in groups that do not say otherwise; nothing else decays, not even
            embeddings.

    Raises ValueError for parameters without names.
    """

    def __init__(
        self,
        params: list[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.98),
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ):
        number("[0, inf)", lr=lr, weight_decay=weight_decay)
        number("[0, 1)", momentum=momentum)
        hidden: dict[float, list[tuple[str, Parameter]]] = {}  # by weight decay
        others: list[tuple[str, Parameter]] = []
        for group in params:
            named = list(group["params"]) if isinstance(group, dict) else None
            if not named or not all(isinstance(pair, tuple) for pair in named):
                raise ValueError("MuonWithAdamW takes groups of named parameters, [{'params': [(name, p), ...]}, ...]")
            for name, parameter in named:
                if parameter.ndim == 2 and not any(part in name for part in EMBEDDINGS):
                    hidden.setdefault(group.get("weight_decay", weight_decay), []).append((name, parameter))
                else:
                    others.append((name, parameter))
        optimizers: list[optim.Optimizer] = []
        if hidden:
            groups = [{"params": named, "weight_decay": decay} for decay, named in hidden.items()]
            optimizers.append(DistributedMuon(groups, lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if others:
            optimizers.append(optim.AdamW(others, lr, betas=betas, weight_decay=0.0))
        super().__init__(*optimizers)
