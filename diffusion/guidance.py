"""Classifier-free guidance: Ho & Salimans 2022. One network learns data with and without their class.

Our guidance scale is s = 1 + w of the paper: 0 leaves the class out, 1 is the conditional model as it is, larger values
exaggerate what tells the class from the rest.

B batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from limits import LARGEST, number, whole

HIGHEST_SCALE = 1000  # far above any use; much larger ones overflow


def drop_labels(labels: Tensor, null: int, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Replace about `share` of the labels (B,) by `null`, no class: the paper's Algorithm 1, line 3."""
    number("[0, 1]", share=share)
    whole(0, LARGEST, null=null)
    dropped = torch.rand(len(labels), generator=generator, device=labels.device) < share
    return labels.masked_fill(dropped, null)


def check_guidance(guidance_scale: float, guidance_interval: Sequence[int] | None = None) -> None:
    """Raises ValueError for a guidance scale or an interval of steps that `guided` does not take."""
    if not 0 <= guidance_scale <= HIGHEST_SCALE:
        raise ValueError(
            f"guidance_scale={guidance_scale} must lie between 0 and {HIGHEST_SCALE}: 0 leaves the class out, 1 is the "
            "conditional model"
        )
    if guidance_interval is None:
        return
    if not (len(guidance_interval) == 2 and 0 <= guidance_interval[0] <= guidance_interval[1]):
        raise ValueError(
            f"guidance_interval={guidance_interval} must be a first and a last step, counted from 0, the first not "
            "above the last"
        )


def check_scales(scales: Sequence[float]) -> None:
    """Raises ValueError where these are not one or more guidance scales."""
    if not scales:
        raise ValueError(f"scales={list(scales)} must be at least one number")
    for scale in scales:
        number(f"[0, {HIGHEST_SCALE}]", scales=scale)


def guided(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    labels: Tensor,
    null: int,
    guidance_scale: float,
    guidance_interval: Sequence[int] | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """A model of (x_t, t, labels) as one of (x_t, t), pulled towards the labels: the paper's Eq. 6 with w = s - 1.

        predicted = s * model(x_t, t, labels) + (1 - s) * model(x_t, t, null)

    What the model predicts may be noise, x_0 or v: each is an affine function of the others for a given x_t, and the
    two weights add up to 1. Both halves are evaluated in one batch of 2 B; one whose weight is 0 is left out.

    Args:
        model: (B, ...), (B,), (B,) -> (B, ...).
        labels: (B,) classes.
        null: the label that stands for no class.
        guidance_scale: s.
        guidance_interval: first and last step, both included, at which to guide; the conditional model is used at the
            others (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval"). None for all.
    """
    check_guidance(guidance_scale, guidance_interval)
    whole(0, LARGEST, null=null)
    nothing = torch.full_like(labels, null)

    def both(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        count, doubled = x.shape[0], model(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, nothing]))
        return doubled[:count], doubled[count:]

    def predicted(x: Tensor, t: Tensor) -> Tensor:
        if guidance_interval is not None and torch.compiler.is_exporting():  # a graph does not branch on a step
            inside = (t[0] >= guidance_interval[0]) & (t[0] <= guidance_interval[1])
            scale = torch.where(inside, guidance_scale, 1.0)
            conditional, unconditional = both(x, t)
            return scale * conditional + (1 - scale) * unconditional
        outside = guidance_interval is not None and not guidance_interval[0] <= int(t[0]) <= guidance_interval[1]
        if outside or guidance_scale == 1:
            return model(x, t, labels)
        if guidance_scale == 0:
            return model(x, t, nothing)
        conditional, unconditional = both(x, t)
        return guidance_scale * conditional + (1 - guidance_scale) * unconditional

    return predicted
