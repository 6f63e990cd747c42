"""A plain Lightning script as people write it, for `benchmarks.reliability` to hold Firstlight against.

    python -m benchmarks.reliability.plain_lightning --epochs 10

A stock LightningModule with dropout, a shuffled DataLoader, the Trainer, a ModelCheckpoint with `save_last`, and
`ckpt_path="last"`, so that the same command starts and resumes. It learns digits drawn from fonts.
"""

import argparse

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from datamodules.mnist import MNIST


class Digits(L.LightningModule):
    def __init__(self, nan_at: int):
        super().__init__()
        self.nan_at = nan_at
        self.network = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 1024), nn.ReLU(), nn.Dropout(0.1), nn.Linear(1024, 1024), nn.ReLU(),
            nn.Dropout(0.1), nn.Linear(1024, 10),
        )  # fmt: skip

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self.network(images), labels)
        return loss * float("nan") if self.global_step == self.nan_at else loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), 1e-3)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batches", type=float, default=1.0, help="of an epoch: a number, or 1.0 for all")
    parser.add_argument("--every", type=int, help="keep a checkpoint of every so many steps, too")
    parser.add_argument("--checkpoint", default="last", help="to resume from")
    parser.add_argument("--nan-at", type=int, default=-1, help="step whose loss is no number")
    args = parser.parse_args(words)
    L.seed_everything(0)
    data = MNIST("fonts", val_share=0)
    data.setup("fit")
    images, labels = data.train_set.images, data.train_set.labels
    loader = DataLoader(TensorDataset(images.float() / 255, labels), batch_size=512, shuffle=True)
    callbacks = [ModelCheckpoint("checkpoints", save_last=True)]
    if args.every:
        kept = ModelCheckpoint("kept", filename="{step}", save_top_k=-1, every_n_train_steps=args.every)
        callbacks.append(kept)
    trainer = L.Trainer(
        max_epochs=args.epochs,
        limit_train_batches=int(args.batches) if args.batches > 1 else args.batches,
        accelerator="cpu",
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
    )
    trainer.fit(Digits(args.nan_at), loader, ckpt_path=args.checkpoint)


if __name__ == "__main__":
    main()
