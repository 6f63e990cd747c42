"""Train on synthetic, test on real: how well a classifier that has seen samples alone knows real images.

    python -m benchmarks.tstr pretrained/mnist_ddpm --samples 10000 --seeds 0 1 2

takes a folder of pretrained/, a run or a checkpoint of a module that draws images of classes. A small classifier is
trained on its samples and the classes that were asked for, and tested on all held-out images; then, for the ceiling,
the same one on as many real training images, evenly spaced. It rises only with samples that are both right and varied
(Esteban et al. 2017; the "classification accuracy score" of Ravuri & Vinyals 2019).

Samples are those of `train.py test` with SampleQuality, and are drawn only once.
"""

import argparse
from statistics import mean

import lightning as L
import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from callbacks.drawn_samples import drawn_samples
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import read_config, trained_file
from checkpoints.run_model import config_beside
from cli.freed_memory import keep_freed_memory
from cli.precision import cpu_has_bfloat16
from datamodules.augmentation import Shift
from datamodules.images import Images, ImageSet
from datamodules.published_images import PublishedImages
from lightning_modules.fast_cnn_classifier import FastCNNClassifier
from optim.lr_schedule import WarmupCosine

WIDTHS, EPOCHS, BATCH = (32, 128, 128), 15, 250


class InMemory(PublishedImages):
    """Images to train on, which are moved by up to two pixels."""

    def __init__(self, train: ImageSet):
        channels, height, width = train.images.shape[1:]
        self.shape = channels, height, width
        super().__init__(
            "memory", batch_size=BATCH, augment=[Shift(2, "reflect")], val_share=0, class_names=[*train.class_names]
        )
        self.train_set, self.val_set, self.test_set = (
            train,
            train.subset(torch.arange(0)),
            train.subset(torch.arange(0)),
        )


def accuracy(train: ImageSet, test: ImageSet, seed: int = 0, epochs: int = EPOCHS) -> float:
    """Of a small classifier that is trained on one set and tested on the other; the same recipe for all data."""
    L.seed_everything(seed, verbose=False)
    data = InMemory(train)
    classifier = FastCNNClassifier(
        widths=WIDTHS,
        shape=data.shape,
        num_classes=data.num_classes,
        lr=0.1,
        lr_schedule=WarmupCosine(warmup=0),
        label_smoothing=0.1,
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        precision="bf16-mixed" if cpu_has_bfloat16() else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(classifier, data)
    classifier.eval()
    with torch.no_grad():
        predicted = torch.cat([classifier(part).argmax(1) for part in test.images.split(BATCH)])
    return (predicted == test.labels).float().mean().item()


def synthetic(model: L.LightningModule, real: ImageSet, count: int) -> ImageSet:
    """Samples of the classes of the real images, in their order; the same as those of `callbacks.sample_quality`."""
    labels = real.labels[torch.arange(count) % len(real)]
    with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
        return ImageSet(drawn_samples(model.eval(), labels), labels, real.class_names)


def data_of(given: str) -> Images:
    """The data of a trained model, as the config.yaml beside it says."""
    path = config_beside(trained_file(given))
    if path is None:
        raise FileNotFoundError(f"{given} has no config.yaml beside it, which says what its data are")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(L.LightningDataModule, "data")
    data = parser.instantiate(parser.parse_object({"data": read_config(path)["data"]})).data
    if not isinstance(data, Images):
        raise ValueError(f"{given} has data of a {type(data).__name__}; name a model that draws images")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the classifiers")
    given = parser.parse_args()
    keep_freed_memory()
    real, test = data_of(given.model).training_and_test_sets()
    samples = synthetic(load_trained(given.model), real, given.samples)
    count = min(given.samples, len(real))
    sets = {
        "samples": samples.subset(torch.arange(count)),
        "real images": real.subset(torch.arange(count) * len(real) // count),
    }
    table = Table("trained on", "images", "accuracy", *(f"seed {seed}" for seed in given.seeds))
    table.title = f"{given.model}, tested on {len(test)} real images"
    for name, train in sets.items():
        found = [accuracy(train, test, seed) for seed in given.seeds]
        table.add_row(name, str(count), f"{mean(found):.2%}", *(f"{value:.2%}" for value in found))
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
