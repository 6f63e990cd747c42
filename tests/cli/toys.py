"""A model and its data that are as small as can be, for the command line alone."""

from collections.abc import Callable, Sequence
from typing import Literal

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class ToyNetwork(nn.Module):
    def __init__(self, shape: Sequence[int], num_classes: int, width: int = 4):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(shape[0], width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OtherNetwork(ToyNetwork):
    def __init__(self, shape: Sequence[int], num_classes: int, depth: int = 1):
        super().__init__(shape, num_classes, 3 * depth)


class WideNetwork(ToyNetwork):
    """Takes an argument of the same name, with another default."""

    def __init__(self, shape: Sequence[int], num_classes: int, width: int = 6, gain: float = 1.0):
        super().__init__(shape, num_classes, width)
        self.gain = gain


class Loose(nn.Module):
    """Takes whatever it is given."""

    def __init__(self, shape: Sequence[int], num_classes: int, **options: int):
        super().__init__()
        self.options = options


class ToySchedule:
    def __init__(self, warmup: float = 0.1):
        if not 0 <= warmup <= 1:
            raise ValueError(f"warmup={warmup} must be in [0, 1]")
        self.warmup = warmup


class OtherSchedule(ToySchedule):
    def __init__(self, warmup: float = 0.7):
        super().__init__(warmup)


class Deep(ToyNetwork):
    """A network with a part of its own."""

    def __init__(self, shape: Sequence[int], num_classes: int, part: ToySchedule | None = None):
        super().__init__(shape, num_classes)
        self.part = part


class OtherDeep(Deep):
    pass


class ToyModel(L.LightningModule):
    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        lr: float = 0.1,
        kind: Literal["a", "b"] = "a",
        network: Callable[[Sequence[int], int], nn.Module] = ToyNetwork,
        optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer] = torch.optim.SGD,
        lr_schedule: ToySchedule | None = None,
    ):
        super().__init__()
        if lr < 0:
            raise ValueError(f"lr={lr} must be at least 0")
        self.save_hyperparameters()
        self.network, self.make_optimizer = network(shape, num_classes), optimizer
        self.lr_schedule = ToySchedule() if lr_schedule is None else lr_schedule

    def _step(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/loss", self._step(batch))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("test/loss", self._step(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.make_optimizer(list(self.parameters()), self.hparams.lr)


class OtherModel(ToyModel):
    pass


class Unasking(ToyModel):
    """Knows everything by itself."""

    def __init__(self):
        super().__init__((5,), 3)


class ToyData(L.LightningDataModule):
    def __init__(self, size: int = 5, classes: int = 3, batch_size: int = 4):
        super().__init__()
        self.shape, self.num_classes, self.batch_size = (size,), classes, batch_size

    def _loader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(0)
        x = torch.rand(16, self.shape[0], generator=generator)
        y = torch.randint(self.num_classes, (16,), generator=generator)
        return DataLoader(TensorDataset(x, y), self.batch_size)

    train_dataloader = val_dataloader = test_dataloader = _loader


class SilentData(ToyData):
    """Says nothing of what it holds."""

    def __init__(self):
        super().__init__()
        self.num_classes = 3
        self.loader = self._loader()
        del self.shape, self.num_classes

    def _any(self) -> DataLoader:
        return self.loader

    train_dataloader = val_dataloader = test_dataloader = _any


class UncertainData(ToyData):
    """Does not know how many classes it holds."""

    def __init__(self):
        super().__init__()
        self.loader, self.num_classes = self._loader(), None

    train_dataloader = val_dataloader = test_dataloader = SilentData._any
