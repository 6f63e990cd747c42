"""What a grader says when an answer is wrong: one line, with what was expected and what came."""

from typing import Any

import numpy as np
import torch

RELATIVE = 1e-4  # differences that rounding in float32 may make; a wrong formula makes larger ones


class Wrong(Exception):
    """An answer that does not pass."""


def same(what: str, got: Any, expected: Any) -> None:
    """Wrong unless both hold the same numbers in the same shape.

    Args:
        what: is compared, for the message, such as "gradient of the input".
        got: by the answer's code; anything.
        expected: number, array or tensor.
    """
    right = _array(expected)
    if got is None:
        raise Wrong(f"{what}: expected {_described(right)}, got None: is a return missing?")
    try:
        given = _array(got)
    except (TypeError, ValueError):
        given = np.empty(0, object)
    if given.dtype.kind not in "fiub":
        raise Wrong(f"{what}: expected {_described(right)}, got a {type(got).__name__}")
    if given.shape != right.shape:
        raise Wrong(f"{what}: expected {_described(right)}, got {_described(given)}")
    finite = np.isfinite(right) & np.isfinite(given)
    tolerance = RELATIVE * (np.abs(right) + np.abs(right[np.isfinite(right)]).max(initial=1e-6) / 10)
    with np.errstate(invalid="ignore"):
        near = finite & (np.abs(given - right) <= tolerance)
    wrong = ~(near | (given == right) | (np.isnan(given) & np.isnan(right)))
    if wrong.any():
        error = np.full_like(right, np.inf)
        np.subtract(given, right, out=error, where=finite)
        error = np.where(wrong, np.abs(error), -1)
        worst = np.unravel_index(error.argmax(), error.shape)
        where = f" at [{', '.join(map(str, worst))}], and {wrong.sum()} of {wrong.size} differ" if right.ndim else ""
        raise Wrong(f"{what}: expected {right[worst]:.6g}, got {given[worst]:.6g}{where}")


def at_least(what: str, got: float, bound: float) -> None:
    """Wrong unless a share reaches a bound; both are said in percent."""
    if not got >= bound:
        raise Wrong(f"{what}: expected at least {bound:.1%}, got {got:.1%}")


def _array(values: Any) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind in "fiub" else array


def _described(array: np.ndarray) -> str:
    return f"an array of shape {array.shape}" if array.ndim else "a number"
