"""Networks that train compiled by torch.compile."""

from collections.abc import Sequence
from typing import Literal, cast

import lightning as L
from torch import nn

from callbacks.module_protocols import Compilable

Mode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class CompileNetworks(L.Callback):
    """Compiles a module's networks in place when training starts, so that checkpoints keep their names of weights.

    Compiled is what a training step calls: what the module says (`callbacks.module_protocols.Compilable`), or else each
    of its networks as a whole. Copies of a network, such as averages of weights, are not compiled.
    The first steps take the time of compiling; so does the first batch of another size or in another mode (train,
    eval).

    Args:
        networks: names of the parts to compile instead, such as ["network"].
        mode: of torch.compile.
        backend: of torch.compile.
        dynamic: whether code is made for all shapes at once; by default from the second shape on.
    """

    def __init__(
        self,
        networks: Sequence[str] | None = None,
        mode: Mode = "default",
        backend: str = "inductor",
        dynamic: bool | None = None,
    ):
        self.networks, self.mode, self.backend, self.dynamic = networks, mode, backend, dynamic

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        for part in compiled_parts(module) if self.networks is None else self._named(module):
            # torch refuses a mode beside a backend that has none, even the default one.
            mode = {} if self.mode == "default" else {"mode": self.mode}
            part.compile(backend=self.backend, dynamic=self.dynamic, **mode)

    def _named(self, module: L.LightningModule) -> list[nn.Module]:
        parts = dict(module.named_modules())
        assert self.networks is not None
        for name in self.networks:
            if name not in parts:
                known = ", ".join(name for name, _ in module.named_children())
                raise ValueError(
                    f"networks: {type(module).__name__} has no part {name!r}; name some of {known}, or parts of these"
                )
        return [parts[name] for name in self.networks]


def compiled_parts(module: L.LightningModule) -> list[nn.Module]:
    """What a training step of the module calls and torch can compile."""
    if hasattr(module, "compilable_parts"):
        return cast(Compilable, module).compilable_parts()
    return [part for part in module.children() if any(weight.requires_grad for weight in part.parameters())]
