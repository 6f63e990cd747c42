"""Networks that train compiled by torch.compile."""

from collections.abc import Sequence
from typing import Literal

import lightning as L
from torch import nn

from lightning_modules.gan import GAN
from lightning_modules.sequence_model import SequenceModel
from networks.transformer import Block

Mode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class CompileNetworks(L.Callback):
    """Compiles a module's networks in place when training starts, so that checkpoints keep their names of weights.

    Compiled is what a training step calls: each network as a whole; of sequence models, whose steps call parts of the
    network, each Transformer block. The discriminator of a GAN with gradient penalties stays as it is: they need second
    derivatives, which torch.compile does not offer. Copies of a network, such as averages of weights, are not compiled.
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
    if isinstance(module, SequenceModel):
        return [part for part in module.modules() if isinstance(part, Block)]
    trained = [part for part in module.children() if any(weight.requires_grad for weight in part.parameters())]
    if isinstance(module, GAN) and module.hparams["penalty"] > 0:
        trained.remove(module.discriminator)
    return trained
