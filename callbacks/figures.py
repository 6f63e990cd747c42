"""Matplotlib's figures as images."""

import gc

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor


def pixels(figure: Figure) -> Tensor:
    """A figure drawn: (3, height, width) uint8. Figures that nobody holds any more are freed.

    A figure's parts hold one another, so the garbage collector alone frees it. By itself that looks at what has lived
    for a while only when much of it is new; beside the objects of torch, some twenty figures are not.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3]).permute(2, 0, 1).contiguous()
    gc.collect()
    return image
