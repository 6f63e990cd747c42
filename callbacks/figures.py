"""Matplotlib's figures as images, and names around a grid."""

import gc
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

DPI, LETTER, LINE, MARGIN = 100, 6.5, 12, 8  # pixels: a letter's width and a line's height at 8 points, a margin


def pixels(figure: Figure) -> Tensor:
    """A figure drawn: (3, height, width) uint8. Figures that are no longer referenced are freed.

    A figure's parts refer to one another, so only the garbage collector frees it. Left to itself, the collector looks
    at older objects only once there are many new ones; beside all of torch's objects, twenty figures are too few.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3]).permute(2, 0, 1).contiguous()
    gc.collect()
    return image


def labelled(grid: Tensor, columns: Sequence[str], rows: Sequence[str] = ()) -> Tensor:
    """A grid (3, height, width) uint8 with its columns' names above and its rows' names on the left.

    The grid itself is the lower right part of the result, pixel for pixel. Names are turned where one is too long for
    its column.
    """
    _, height, width = grid.shape
    longest = round(max(map(len, columns)) * LETTER)
    turned = longest > width / len(columns)
    top = MARGIN + (longest if turned else LINE)
    left = MARGIN + round(max(map(len, rows)) * LETTER) if rows else 0
    figure = Figure(((left + width) / DPI, (top + height) / DPI), dpi=DPI)
    for number, name in enumerate(columns):
        at = (left + (number + 0.5) * width / len(columns)) / (left + width), (height + MARGIN / 2) / (top + height)
        figure.text(*at, name, ha="center", va="bottom", fontsize=8, rotation=90 if turned else 0)
    for number, name in enumerate(rows):
        at = (left - MARGIN / 2) / (left + width), (height - (number + 0.5) * height / len(rows)) / (top + height)
        figure.text(*at, name, ha="right", va="center", fontsize=8)
    image = pixels(figure)
    image[:, -height:, -width:] = grid.cpu()
    return image
