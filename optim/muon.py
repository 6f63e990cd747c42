"""Muon for the hidden matrices of a network, AdamW for everything else (Jordan et al. 2024; Liu et al. 2025)."""

from typing import Any

from torch import optim

from limits import number
from optim.combined_optimizer import CombinedOptimizer

EMBEDDINGS = ("embedding", "positions", "head")  # parts of the names of matrices that are no hidden layers


class MuonWithAdamW(CombinedOptimizer):
    """`torch.optim.Muon` on matrices that are hidden layers, `torch.optim.AdamW` on embeddings, heads and vectors.

    Muon's updates are scaled to the root mean square of AdamW's (Liu et al. 2025, "Muon is Scalable for LLM Training",
    Eq. 4), so that both take the same learning rate and weight decay.

    Args:
        params: parameter groups with names (`optim.parameter_groups`).
        lr: of both.
        betas: AdamW's.
        momentum: Muon's.
        weight_decay: of both, on matrices of groups that do not say otherwise.

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
        hidden, others = [], []
        for group in params:
            named = list(group["params"]) if isinstance(group, dict) else None
            if not named or not all(isinstance(pair, tuple) for pair in named):
                raise ValueError("MuonWithAdamW takes groups of named parameters, [{'params': [(name, p), ...]}, ...]")
            for name, parameter in named:
                is_hidden = parameter.ndim == 2 and not any(part in name for part in EMBEDDINGS)
                chosen = hidden if is_hidden else others
                chosen.append((name, parameter, group.get("weight_decay", weight_decay)))
        optimizers: list[optim.Optimizer] = []
        if hidden:
            groups = _by_decay(hidden)
            optimizers.append(optim.Muon(groups, lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if others:
            optimizers.append(optim.AdamW(_by_decay(others), lr, betas=betas))
        super().__init__(*optimizers)


def _by_decay(chosen: list[tuple]) -> list[dict[str, Any]]:
    """Parameter groups, one for each weight decay."""
    decays = sorted({decay for _, _, decay in chosen})
    return [
        {"params": [(name, p) for name, p, own in chosen if own == decay], "weight_decay": decay} for decay in decays
    ]
