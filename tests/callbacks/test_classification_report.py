import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from callbacks.classification_report import (
    ClassificationReport,
    Mistake,
    confusion_figure,
    filter_grid,
    mistakes_figure,
)
from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from lightning_modules.classifier import Classifier

N = 30


class ByFirstPixel(nn.Module):
    """The first pixel, 0 to 2, says which class is predicted; the second how surely."""

    def __init__(self, shape, num_classes):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        pixels = (images * 255).flatten(1).round()
        predicted = nn.functional.one_hot(pixels[:, 0].long(), 3)
        return predicted * pixels[:, 1:2] / 10 + 0 * self.unused


def reader(filters=None):
    module = Classifier(ByFirstPixel, shape=[3, 4, 4], num_classes=3, mean=[0.0] * 3, std=[1.0] * 3)
    if filters is not None:
        module.network.first_filters = lambda: filters
    return module


class Written(PublishedImages):
    shape = (3, 4, 4)
    class_names = ("cat", "dog", "fox")

    def __init__(self):
        super().__init__("memory", batch_size=7)
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (N, 3, 4, 4), generator=generator, dtype=torch.uint8)
        self.predicted = torch.randint(3, (N,), generator=generator)
        images[:, 0, 0, 0] = self.predicted.byte()
        images[:, 0, 0, 1] = torch.randperm(N, generator=generator).byte() + 5
        self.train_set = self.val_set = self.test_set = ImageSet(images, torch.arange(N) % 3)


def run(tmp_path, call, report, module=None):
    """What TensorBoard holds afterwards."""
    logger = TensorBoardLogger(tmp_path, name="", version="")
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(logger=logger, callbacks=[report], accelerator="cpu", max_epochs=2, **quiet)
    call(trainer)(module or reader(), Written())
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    return events


def test_the_most_confident_mistakes_are_found(tmp_path):
    report, data = ClassificationReport(mistakes=4), Written()
    run(tmp_path, lambda trainer: trainer.test, report)
    pixels, labels = data.test_set.images, data.test_set.labels
    wrong = [i for i in range(N) if data.predicted[i] != labels[i]]
    worst = sorted(wrong, key=lambda i: -int(pixels[i, 0, 0, 1]))[:4]
    found = sorted(report._worst, reverse=True)
    assert [mistake.target for mistake in found] == labels[worst].tolist()
    assert [mistake.predicted for mistake in found] == data.predicted[worst].tolist()
    assert all(torch.equal(m.image, pixels[i]) for m, i in zip(found, worst, strict=True))
    surely = [pixels[i, 0, 0, 1].double().div(10).exp() for i in worst]
    for mistake, weight in zip(found, surely, strict=True):
        assert mistake.confidence == pytest.approx(float(weight / (weight + 2)), rel=1e-4)


def test_accuracy_of_every_class(tmp_path):
    events, data = run(tmp_path, lambda trainer: trainer.test, ClassificationReport()), Written()
    for number, name in enumerate(data.class_names):
        expected = (data.predicted == data.test_set.labels)[data.test_set.labels == number].float().mean()
        (scalar,) = events.Scalars(f"test/accuracy_of/{name}")
        assert scalar.value == pytest.approx(float(expected))


@pytest.mark.parametrize("filters", [None, torch.randn(100, 3, 5, 5)])
def test_images_at_every_validation_but_the_sanity_check(tmp_path, filters):
    report = ClassificationReport()
    events = run(tmp_path, lambda trainer: trainer.fit, report, reader(filters))
    tags = {"val/confusion", "val/mistakes"} | ({"val/filters"} if filters is not None else set())
    assert set(events.Tags()["images"]) == tags
    for tag in tags:
        assert [image.step for image in events.Images(tag)] == [4, 8]


def test_without_tensorboard_images_are_kept_and_accuracies_logged(tmp_path):
    options = {"accelerator": "cpu", "enable_progress_bar": False, "default_root_dir": tmp_path}
    for logger in (False, CSVLogger(tmp_path, name="", version="csv")):
        runner = L.Trainer(logger=logger, callbacks=[ClassificationReport()], **options)
        runner.validate(reader(), Written(), verbose=False)
    for folder in (tmp_path, tmp_path / "csv"):
        assert {path.parent.name for path in (folder / "images/val").glob("*/0000000.png")} == {"confusion", "mistakes"}
    assert "val/accuracy_of/dog" in (tmp_path / "csv/metrics.csv").read_text()


def test_a_module_without_counts_is_refused(tmp_path):
    module = reader()
    del module.confusion
    with pytest.raises(
        ValueError, match="ClassificationReport asks a module for confusion, which Classifier does not have"
    ):
        run(tmp_path, lambda trainer: trainer.test, ClassificationReport(), module)


def test_figures_hold_their_numbers():
    counts = torch.tensor([[5, 2], [0, 9]])
    figure = confusion_figure(counts, ["cat", "dog"])
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["2", "5", "9"]
    assert {(text.get_position(), text.get_text()) for text in figure.axes[0].texts} >= {((1, 0), "2")}
    mistakes = [Mistake(0.9, -i, torch.zeros(1, 4, 4, dtype=torch.uint8), 0, 1) for i in range(6)]
    figure = mistakes_figure(mistakes, ["cat", "dog"])
    assert [axes.get_title() for axes in figure.axes] == ["true cat\npredicted dog (90%)"] * 6 + [""] * 4


def test_a_figure_of_hundreds_of_classes_is_no_larger_than_one_of_some():
    names = [str(number) for number in range(500)]
    figure = confusion_figure(torch.zeros(500, 500, dtype=torch.long), names)
    assert max(figure.get_size_inches()) <= 40


@pytest.mark.parametrize("channels", [1, 3, 24])
def test_filters_are_centred_on_grey(channels):
    filters = torch.randn(9, channels, 28, 28)
    filters[0] = 0
    grid = filter_grid(filters)
    assert grid.shape == (3, 3 * 30 + 2, 3 * 30 + 2)
    assert (grid[:, 2:30, 2:30] == 0.5).all()
    second = grid[:, 2:30, 32:60]
    assert max(second.max() - 0.5, 0.5 - second.min()) == pytest.approx(0.5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="mistakes=0"):
        ClassificationReport(mistakes=0)
