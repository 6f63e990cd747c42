"""The affine layer. N batch (any leading axes), I inputs, O outputs."""

import numpy as np

from numpy_core import checks
from numpy_core.checks import FloatDType
from numpy_core.initializers import Initializer, kaiming_uniform
from numpy_core.module import Module, Parameter


class Linear(Module):
    """y = x W^T + b: (..., I) -> (..., O), with W (O, I) and b (O,)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rng: np.random.Generator,
        bias: bool = True,
        initializer: Initializer = kaiming_uniform,
        dtype: FloatDType = np.float32,
    ):
        checks.sizes(inputs=inputs, outputs=outputs)
        dtype = checks.float_dtype(dtype)
        self.weight = Parameter(initializer((outputs, inputs), rng, dtype))
        self.bias = Parameter(np.zeros(outputs, dtype)) if bias else None

    def forward(self, x: np.ndarray) -> np.ndarray:
        weight = self.weight.value
        checks.float_array("the input of Linear", x, weight.dtype)
        checks.axis("the input of Linear", x, -1, weight.shape[1])
        y = x @ weight.T  # (..., O)
        if self.bias is not None:
            y += self.bias.value
        return self._remember(y, x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        # y_no = sum_i x_ni W_oi + b_o, so
        #   dW_oi = sum_n dy_no x_ni     dW = dy^T x   (O, N) (N, I)
        #   db_o  = sum_n dy_no
        #   dx_ni = sum_o dy_no W_oi     dx = dy W     (N, O) (O, I)
        (x,) = self._recall(dy)
        rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])  # (N, I), (N, O)
        self.weight.accumulate(drows.T @ rows)
        if self.bias is not None:
            self.bias.accumulate(drows.sum(0))
        return dy @ self.weight.value
