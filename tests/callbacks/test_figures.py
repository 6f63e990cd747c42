import gc
import io
import weakref

import pytest
import torch
from matplotlib.figure import Figure
from torchvision.io import decode_image

from callbacks.figures import pixels


def drawn() -> Figure:
    figure = Figure((3, 2), layout="tight")
    axes = figure.subplots()
    axes.plot([1, 2, 3], [3, 1, 2])
    axes.set_title("a line")
    return figure


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


def test_is_what_matplotlib_saves():
    file = io.BytesIO()
    drawn().savefig(file, format="png")
    expected = decode_image(torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8))[:3]
    assert torch.equal(pixels(drawn()), expected)


def test_what_was_drawn_before_is_freed_without_waiting_for_the_collector(no_collector):
    figure = drawn()
    pixels(figure)
    before = weakref.ref(figure)
    del figure
    assert before() is not None  # its parts hold it
    pixels(drawn())
    assert before() is None
