"""A device that is not there: its tensors hold their numbers on the CPU, and refuse to meet the CPU's own.

What a GPU refuses is found without one, with real numbers, forward and backward. It is called "lazy", a device of torch
that no kernel here belongs to, and whose backward pass torch runs in the calling thread.
"""

import contextlib
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
DEVICE = torch.device("lazy:0")
AUTOCAST = torch.autocast
MEET = {"aten::copy_", "aten::_foreach_copy_"}  # between devices, as `to`


class DeviceMistake(RuntimeError):
    """What would fail on a GPU, or make it wait."""


class Pretended(Tensor):
    """A tensor on the device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "Pretended":
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({self.held})"

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        raise DeviceMistake("an array of a tensor on the device")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, kernel: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(kernel, args, kwargs or {})


class PretendedDevice(TorchDispatchMode):
    """Within it, tensors can be made on the device and moved to it."""

    def __enter__(self) -> "PretendedDevice":
        self._others = contextlib.ExitStack()
        self._others.enter_context(_Numbers())
        self._others.enter_context(mock.patch.object(torch, "autocast", _autocast))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._others.close()

    def __torch_dispatch__(self, kernel: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(kernel, args, kwargs or {})


def _autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
    return contextlib.nullcontext() if device_type == DEVICE.type else AUTOCAST(device_type, *args, **kwargs)


class _Numbers(TorchFunctionMode):
    """`torch.tensor` and `torch.as_tensor` with numbers of the host and the device, which no kernel shows."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor):
            device = kwargs.pop("device", None)
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


def _run(kernel: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name, leaves = kernel._schema.name, tree_leaves((args, kwargs))
    given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    there = [tensor for tensor in given if isinstance(tensor, Pretended)]
    if there and name not in MEET and any(tensor.ndim for tensor in given if not isinstance(tensor, Pretended)):
        raise DeviceMistake(f"{name} of tensors on the device and on the CPU")
    on_device = isinstance(args[0], Pretended) if name in MEET else bool(there)
    for device in (leaf for leaf in leaves if isinstance(leaf, torch.device)):
        on_device = device.type == DEVICE.type
    if on_device and kwargs.get("generator") is not None:
        raise DeviceMistake(f"{name} on the device by a generator of the CPU")
    known = {id(tensor.held): tensor for tensor in there}  # what an operation in place gives back

    def outside(result: Any) -> Any:
        if not isinstance(result, Tensor) or not on_device:
            return result.clone() if id(result) in known else result
        return known.get(id(result)) if id(result) in known else Pretended(result)

    return tree_map(outside, kernel(*tree_map(_held, args), **tree_map(_held, kwargs)))


def _held(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.held if isinstance(value, Pretended) else value
