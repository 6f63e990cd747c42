import numpy as np
import pytest
import torch

from exercises.grading import Wrong, at_least, same


@pytest.mark.parametrize(
    "value",
    [1, 2.5, True, [1, 2], np.array([np.nan, np.inf, -np.inf, 1]), torch.ones(2, 3), torch.tensor([True]), np.zeros(0)],
)
def test_the_same_passes(value):
    same("x", value, value)


def test_rounding_in_float32_passes_and_a_thousandth_does_not():
    x = np.random.default_rng(0).normal(size=100)
    same("x", torch.tensor(x, dtype=torch.float32), x)
    with pytest.raises(Wrong):
        same("x", x * 1.001, x)


@pytest.mark.parametrize(
    ("got", "expected", "message"),
    [
        (1.5, 2.0, "x: expected 2, got 1.5"),
        ([1, 2, 3], [1, 5, 3], "x: expected 5, got 2 at [1], and 1 of 3 differ"),
        ([[1, 2], [3, 4]], [[0, 2], [3, 9]], "x: expected 9, got 4 at [1, 1], and 2 of 4 differ"),
        ([1, np.nan], [1, 2], "x: expected 2, got nan at [1], and 1 of 2 differ"),
        ([1, 2], [1, np.nan], "x: expected nan, got 2 at [1], and 1 of 2 differ"),
        ([1, np.inf], [1, -np.inf], "x: expected -inf, got inf at [1], and 1 of 2 differ"),
        (None, 2.0, "x: expected a number, got None: is a return missing?"),
        (torch.ones(2, 3), np.ones(3), "x: expected an array of shape (3,), got an array of shape (2, 3)"),
        (1, [1, 2], "x: expected an array of shape (2,), got a number"),
        ("two", 2, "x: expected a number, got a str"),
        ([[1], [1, 2]], [1, 2], "x: expected an array of shape (2,), got a list"),
        (object(), 2, "x: expected a number, got a object"),
    ],
)
def test_what_is_wrong(got, expected, message):
    with pytest.raises(Wrong) as wrong:
        same("x", got, expected)
    assert str(wrong.value) == message


def test_a_number_to_reach():
    at_least("accuracy", 0.95, 0.95)
    with pytest.raises(Wrong, match=r"accuracy: expected at least 95.0%, got 94.9%"):
        at_least("accuracy", 0.949, 0.95)
    with pytest.raises(Wrong, match="got nan"):
        at_least("accuracy", float("nan"), 0.95)
