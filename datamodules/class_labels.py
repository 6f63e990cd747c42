"""Classes to draw, for `predict` of a model that draws images: it needs no data set.

B batch, K classes.
"""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.stateful_loader import already_collated
from limits import whole


class Labels(Dataset):
    """`count` labels, all K classes in turn, a batch at a time: {"label": (B,), "index": (B,)}."""

    def __init__(self, count: int, classes: int):
        whole(count=count, classes=classes)
        self.count, self.classes = count, classes

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        index = torch.as_tensor(indices)
        return {"label": index % self.classes, "index": index}


class ClassLabels(L.LightningDataModule):
    """What `predict` is to draw: `count` images of all classes in turn.

    Args:
        class_names: of the K classes.
        count: how many images.
        batch_size: how many are drawn at once.
    """

    def __init__(self, class_names: Sequence[str], count: int = 100, batch_size: int = 100):
        super().__init__()
        whole(count=count, batch_size=batch_size)
        if not class_names:
            raise ValueError("class_names must be one or more")
        self.class_names, self.count, self.batch_size = tuple(class_names), count, batch_size

    def predict_dataloader(self) -> DataLoader:
        labels = Labels(self.count, len(self.class_names))
        options: dict[str, Any] = {"collate_fn": already_collated}  # DataLoader's types know no `__getitems__`
        return DataLoader(labels, batch_size=self.batch_size, **options)
