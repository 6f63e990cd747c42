"""What makes the host wait for a device, counted in the steps of a training on the CPU."""

import traceback
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from callbacks import non_finite_guard
from lightning_modules import sequence_model, sequence_tagger, step_log
from networks import chunk_mlp

# Kernels whose result the host must know, or whose result has a shape that it must know.
KERNELS = {
    *("aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero", "aten::nonzero", "aten::masked_select"),
    *("aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::bincount", "aten::repeat_interleave"),
}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_"}
COPIES = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}  # to the host; on a CPU no kernel shows them
MADE = {torch.tensor, torch.as_tensor}  # from numbers of the host; it waits until they have arrived
# Batches are read on the CPU; what a progress bar shows was copied to it (`lightning_modules.step_log`).
ELSEWHERE = ("torch/utils/data", "convert_tensors_to_scalars")


class Synchronising(L.Callback):
    """Notes where the host would wait in each batch, if the module were on an accelerator."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []  # number of the batch, what and where
        self._batch = -1
        self._modes = (_Kernels(self._note), _Calls(self._note))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self._batch += 1
        if self._batch == 0:
            for mode in self._modes:
                mode.__enter__()

    def on_train_end(self, trainer, module):
        for mode in reversed(self._modes):
            mode.__exit__(None, None, None)

    def _note(self, what: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if "tests/synchronisation" not in frame.filename]
        lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        if not any(part in line for line in lines for part in ELSEWHERE):
            own = [line for line in lines if "site-packages/torch/" not in line]
            self.found.append((self._batch, f"{what} in {own[-1]}"))


class _Kernels(TorchDispatchMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_dispatch__(self, kernel: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = kernel._schema.name
        if name in KERNELS or (name in INDEXING and any(_is_mask(index) for index in args[1])):
            self._note(name)
        return kernel(*args, **(kwargs or {}))


class _Calls(TorchFunctionMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        to_host = function is Tensor.to and any(isinstance(given, str) for given in (*args[1:2], kwargs.get("device")))
        if function in COPIES or to_host or (function in MADE and kwargs.get("device") is not None):
            self._note(function.__name__)
        return function(*args, **kwargs)


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def as_on_an_accelerator(monkeypatch) -> None:
    """Code of a training step that asks whether its device is asynchronous is told that it is."""
    for place in (non_finite_guard, sequence_model, sequence_tagger, step_log, chunk_mlp):
        monkeypatch.setattr(place, "asynchronous", lambda device: True)
