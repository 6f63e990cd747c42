"""Two-dimensional convolution as matrix products.

N images, C input channels, O output channels, H x W input, P x Q output, K x L kernel, G groups.
s stride, p padding, d dilation:  P = floor((H + 2 p - d (K - 1) - 1) / s) + 1, and Q alike.

    y[n, o, i, j] = b[o] + sum_{c, k, l} W[o, c, k, l] x_padded[n, c, s i + d k, s j + d l]

For fixed (c, k, l) the sum runs over a shifted copy of the image. Laying all shifted copies under each other gives a
matrix of columns X (C K L, N P Q) whose product with W (O, C K L) is the whole convolution; its transpose gives the
gradients. The columns hold K L times the input, so they are made for a few images at a time, as many as stay in the
processor's cache, and made again for the backward: copying within the cache costs less than memory.
"""

from collections.abc import Iterator

import numpy as np

from numpy_core import checks
from numpy_core.checks import FloatDType
from numpy_core.initializers import Initializer, kaiming_uniform
from numpy_core.module import Module, Parameter
from numpy_core.windows import Windows, pair

CACHE_BYTES = 2**23  # of columns at a time, measured best here between 2**19 and 2**28


class Conv2d(Module):
    """(N, C, H, W) -> (N, O, P, Q) with W (O, C/G, K, L) and b (O,).

    With `groups` G, output group g sees the channels of input group g only. Kernel size, stride, padding and dilation
    are one number for both axes or a pair (vertical, horizontal).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int | tuple[int, int],
        rng: np.random.Generator,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = kaiming_uniform,
        dtype: FloatDType = np.float32,
    ):
        checks.sizes(inputs=inputs, outputs=outputs, groups=groups)
        if inputs % groups or outputs % groups:
            raise ValueError(f"groups={groups} must divide both inputs={inputs} and outputs={outputs}")
        dtype = checks.float_dtype(dtype)
        self.inputs, self.groups = inputs, groups
        self.windows = Windows(kernel_size, stride, padding, dilation)
        shape = (outputs, inputs // groups, *pair("kernel_size", kernel_size, 1))
        self.weight = Parameter(initializer(shape, rng, dtype))
        self.bias = Parameter(np.zeros(outputs, dtype)) if bias else None

    def forward(self, x: np.ndarray) -> np.ndarray:
        weight = self.weight.value
        checks.float_array("the input of Conv2d", x, weight.dtype, ndim=4)
        checks.axis("the input of Conv2d", x, 1, self.inputs)
        rows, columns = self.windows.output_size(x.shape[2:])
        y = np.empty((len(x), len(weight), rows, columns), x.dtype)
        kernels = self._kernels()  # (G, O/G, C/G K L)
        padded = self.windows.pad(x)
        for some, shifted in self._columns(padded):
            # Y = W X, one product a group: (O/G, C/G K L) (C/G K L, n P Q)
            product = np.matmul(kernels, shifted).reshape(len(weight), -1)  # (O, n P Q)
            if self.bias is not None:
                product += self.bias.value[:, None]
            y[some] = product.reshape(len(weight), -1, rows, columns).swapaxes(0, 1)
        return self._remember(y, padded)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # Y = W X for the columns X of x, so
        #   dW = dY X^T                    (O, N P Q) (N P Q, C K L)
        #   dX = W^T dY                    (C K L, O) (O, N P Q)
        #   dx[n, c, s i + d k, s j + d l] += dX[(c, k, l), (n, i, j)]     each copy goes back to where it came from
        #   db_o = sum_{n, i, j} dy[n, o, i, j]
        (padded,) = self._recall(dy)
        dpadded = np.zeros_like(padded)
        kernels = self._kernels()
        dkernels = np.zeros_like(kernels)
        room = np.empty(0, dy.dtype)
        for some, shifted in self._columns(padded):
            room = room if room.shape == shifted.shape else np.empty_like(shifted)
            dproduct = dy[some].swapaxes(0, 1).reshape(self.groups, kernels.shape[1], -1)  # (G, O/G, n P Q)
            dkernels += np.matmul(dproduct, shifted.swapaxes(1, 2))
            dshifted = np.matmul(kernels.swapaxes(1, 2), dproduct, out=room)  # (G, C/G K L, n P Q)
            dshifted = dshifted.reshape(self.inputs, *self.weight.value.shape[2:], -1, *dy.shape[2:])
            dimages = dpadded[some].swapaxes(0, 1)  # (C, n, H + 2 p, W + 2 p)
            for (row, column), place in self.windows.taps(dy.shape[2:]):
                dimages[place] += dshifted[:, row, column]
        self.weight.accumulate(dkernels.reshape(self.weight.value.shape))
        if self.bias is not None:
            self.bias.accumulate(dy.sum((0, 2, 3)))
        return self.windows.crop(dpadded)

    def _kernels(self) -> np.ndarray:
        """The weight as one matrix a group: (G, O/G, C/G K L)."""
        outputs = len(self.weight.value)
        return self.weight.value.reshape(self.groups, outputs // self.groups, -1)

    def _columns(self, padded: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """A few images at a time: which ones, and their columns (G, C/G K L, n P Q) in one buffer, written over."""
        view = self.windows.view(padded).transpose(1, 4, 5, 0, 2, 3)  # (C, K, L, N, P, Q)
        channels, images = view.shape[:3], view.shape[3]
        image_bytes = view[:, :, :, :1].size * view.itemsize
        step = max(1, min(images, CACHE_BYTES // max(1, image_bytes)))
        buffer = np.empty((*channels, step, *view.shape[4:]), padded.dtype)
        for start in range(0, images, step):
            some = slice(start, min(images, start + step))
            part = buffer if some.stop - start == step else np.empty_like(view[:, :, :, some], order="C")
            np.copyto(part, view[:, :, :, some])
            yield some, part.reshape(self.groups, channels[0] // self.groups * channels[1] * channels[2], -1)
