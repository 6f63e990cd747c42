import math

import pytest

from limits import LARGEST, number, whole


@pytest.mark.parametrize("value", [1, 7, LARGEST])
def test_whole_numbers(value):
    whole(width=value)


@pytest.mark.parametrize("value", [0, -1, 2**63, True, 1.0, math.nan, "3", None])
def test_no_whole_numbers(value):
    with pytest.raises(
        ValueError, match=r"^width=.* must be a whole number of at least 1 and at most 2147483647$"
    ) as caught:
        whole(heads=1, width=value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1)", [0, 0.5, 1 - 1e-16], [-1e-300, 1, math.nan, math.inf, "0.5", None]),
        ("(0, 1]", [1e-300, 1], [0, 1.1, math.nan]),
        ("[0, inf)", [0, 1e308], [math.inf, -1, math.nan]),
        ("(-inf, inf)", [-1e308, 0], [math.inf, -math.inf, math.nan]),
    ],
)
def test_intervals(interval, inside, outside):
    for value in inside:
        number(interval, share=value)
    for value in outside:
        with pytest.raises(ValueError, match=r"^share=.* must be a number in [\[(]") as caught:
            number(interval, share=value)
        assert repr(value) in str(caught.value)
