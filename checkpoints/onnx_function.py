"""What of a module becomes an ONNX file, and what its inputs and outputs mean to who calls it.

A file has no memory and draws no random numbers: what a module keeps or draws is an input of its function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from limits import whole

BATCH = "batch"  # the axis of independent rows
ROWS = 2  # entries of an example along axes that may have any length; of 1, torch takes that no other may come
LARGEST_BATCH = 4096  # rows of an example that is computed


class Input(NamedTuple):
    """An input of a function.

    Attributes:
        example: a tensor of its shape and type; axes that may have any length have ROWS entries.
        meaning: units, range, and what to do where that is not plain.
        axes: names of the axes that may have any length, by their place. One name is one length, in all inputs.
    """

    example: Tensor
    meaning: str
    axes: Mapping[int, str] = {0: BATCH}


@dataclass(frozen=True)
class OnnxFunction:
    """A function of tensors that becomes one file.

    Args:
        call: takes the inputs in their order and gives the outputs in theirs, by tensor operations alone: Python's
            branches and loops are carried out once, while it is exported.
        inputs: by name.
        outputs: what each means, by name.
        metadata: what else belongs into the file, by name.
    """

    call: Callable[..., Tensor | tuple[Tensor, ...]]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def of_batch(self, batch: int) -> "OnnxFunction":
        """The same for this number of rows alone. ValueError for none, or more than LARGEST_BATCH."""
        whole(1, LARGEST_BATCH, batch_size=batch)
        inputs = {}
        for name, (example, meaning, axes) in self.inputs.items():
            for place in (place for place, axis in axes.items() if axis == BATCH):
                example = example.index_select(place, torch.arange(batch) % example.shape[place])
            others = {place: axis for place, axis in axes.items() if axis != BATCH}
            inputs[name] = Input(example, meaning, others)
        return replace(self, inputs=inputs)


class OnnxExportable(Protocol):
    """A LightningModule that says how it is exported."""

    def onnx_functions(self) -> Mapping[str, OnnxFunction]:
        """The functions of the trained module, by what is added to the name of their files; the whole has ""."""
