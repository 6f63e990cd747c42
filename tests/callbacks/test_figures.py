import gc
import io
import weakref

import pytest
import torch
from matplotlib.figure import Figure
from torchvision.io import decode_image

from callbacks.figures import labelled, pixels


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


@pytest.mark.parametrize("columns", [["a", "b", "c"], ["aeroplane", "b", "c"]])
@pytest.mark.parametrize("rows", [[], ["scale 0", "scale 8"]])
def test_names_stand_around_a_grid_that_stays_as_it_is(columns, rows):
    grid = torch.randint(256, (3, 60, 90), dtype=torch.uint8)
    image = labelled(grid, columns, rows)
    assert torch.equal(image[:, -60:, -90:], grid)
    above, beside = image[:, :-60], image[:, -60:, :-90]
    for number in range(3):  # ink above every column
        start = image.shape[2] - 90 + 30 * number
        assert above[:, :, start : start + 30].min() < 128
    if not rows:
        assert image.shape[2] == 90
    for number in range(len(rows)):
        assert beside[:, 30 * number : 30 * (number + 1)].min() < 128
        assert (beside[:, :, 0] == 255).all()  # no name is cut off
    assert (above[:, 0] == 255).all()
