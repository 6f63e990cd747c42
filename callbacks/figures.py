"""Matplotlib's figures as images."""

import gc

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor


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
