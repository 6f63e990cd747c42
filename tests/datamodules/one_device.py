"""What in the making of a batch goes from the CPU to its device, seen without a GPU: "meta" tensors stand for its own.

Reading a value of a "meta" tensor, or asking where it is true, raises by itself.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FROM_NUMBERS = (torch.tensor, torch.as_tensor, Tensor.new_tensor)


@contextlib.contextmanager
def copies() -> Iterator[list[str]]:
    """A list of all that is copied to "meta", or would be if it were a GPU, on the way to the end of the context."""
    noted: list[str] = []
    with _Operations(noted), _Numbers(noted):
        yield noted


class _Operations(TorchDispatchMode):
    """Tensors of two devices in one operation."""

    def __init__(self, noted: list[str]):
        super().__init__()
        self.noted = noted

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        if len({tensor.device for tensor in tensors}) > 1:
            self.noted.append(f"{func} {tuple(out.shape)}")
        return out


class _Numbers(TorchFunctionMode):
    """Python's numbers that become a tensor there, or an index of one, which the other mode is not told of."""

    def __init__(self, noted: list[str]):
        super().__init__()
        self.noted = noted

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = func in FROM_NUMBERS or (func is Tensor.__getitem__ and _has_list(args[1]))
        if made and out.device.type != "cpu":
            self.noted.append(f"{func.__name__} {tuple(out.shape)}")
        return out


def _has_list(index: object) -> bool:
    return any(isinstance(part, list) for part in (index if isinstance(index, tuple) else (index,)))
