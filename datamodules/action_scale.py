"""The size of actions, to normalise them by."""

from collections.abc import Iterable

from torch import Tensor


def action_scale(batches: Iterable[dict[str, Tensor]]) -> Tensor:
    """Root mean square of the actions at each of the T steps of a window, relative to the pointer: (T, 1) pixels.

    1 pixel at least, and at steps that no action reaches: what lies past the end of an episode does not count.

    Args:
        batches: {"observation": (B, O, 2 or more), "action": (B, T, 2), "action_is_pad": (B, T)}, where an observation
            begins with the pointer's position.
    """
    total: Tensor | float = 0.0
    count: Tensor | int = 0
    for batch in batches:
        within = ~batch["action_is_pad"][..., None]
        relative = (batch["action"] - batch["observation"][:, -1:, :2]) * within
        total, count = total + relative.double().square().sum((0, 2)), count + 2 * within.sum((0, 2))
    if isinstance(count, int):
        raise ValueError("there are no windows to measure the scale of actions on")
    return (total / count.clamp(min=1)).sqrt()[:, None].clamp(min=1.0).float()
