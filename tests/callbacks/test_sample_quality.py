import lightning as L
import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from callbacks import feature_extractor
from callbacks.sample_quality import SampleQuality
from datamodules import cache
from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from diffusion.noise import generators
from lightning_modules.mlp_classifier import MLPClassifier
from metrics.classifier_features import extract_features
from metrics.image_features import ImageFeatures
from metrics.precision_recall import precision_recall

SHAPE = (3, 4, 4)
DARK, BRIGHT = 40, 200  # grey levels of the two classes


class Grey(PublishedImages):
    """Dark and bright images with some noise; a third of them is bright."""

    shape = SHAPE
    class_names = ("dark", "bright")

    def __init__(self):
        super().__init__("memory", batch_size=20)

    def setup(self, stage=None):
        for name, count, seed in [("train_set", 90, 0), ("val_set", 0, 1), ("test_set", 30, 2)]:
            labels = (torch.arange(count) % 3 == 0).long()
            setattr(self, name, ImageSet(grey(labels, torch.Generator().manual_seed(seed)), labels))


def grey(labels, generator):
    noise = torch.randint(-20, 21, (len(labels), *SHAPE), generator=generator)
    return (torch.where(labels == 1, BRIGHT, DARK)[:, None, None, None] + noise).byte()


class Drawer(L.LightningModule):
    """Draws what is asked for, but every fifth image of a class wrongly."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.asked, self.seeds = [], []

    def sample(self, labels, generator=None):
        self.asked.append(labels)
        wrong = torch.arange(len(labels)) % 5 == 0
        self.seeds += [one.initial_seed() for one in generator]
        return grey(torch.where(wrong, 1 - labels, labels), torch.Generator().manual_seed(self.seeds[-1]))

    def test_step(self, batch, batch_idx):
        pass


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))


@pytest.fixture
def reader(monkeypatch):
    """A classifier that reads the middle of dark and bright; 8 features."""
    torch.manual_seed(0)
    classifier = MLPClassifier(shape=list(SHAPE), num_classes=2, hidden=[8], mean=[0.0] * 3, std=[1.0] * 3).eval()
    with torch.no_grad():
        network = classifier.network
        network.layers[1].weight.abs_()
        network.layers[1].bias.zero_()
        mean = network.features(torch.full((1, *SHAPE), 120 / 255))
        network.head.weight.copy_(torch.stack([-torch.ones(8), torch.ones(8)]))
        network.head.bias.copy_(torch.tensor([1.0, -1.0]) * mean.sum())
    monkeypatch.setattr(feature_extractor, "load_trained", lambda folder: {"reader": classifier}[folder])
    return classifier


class Features(nn.Module):
    """Those of an extractor, for torchmetrics."""

    def __init__(self, extractor):
        super().__init__()
        self.extractor = extractor
        self.num_features = extractor.features(torch.zeros(1, *SHAPE).byte()).shape[1]

    def forward(self, images):
        return self.extractor.features(images)


def measured(callback):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer, module, data = L.Trainer(accelerator="cpu", callbacks=[callback], **quiet), Drawer(), Grey()
    (metrics,) = trainer.test(module, data, verbose=False)
    return metrics, module, data


def test_metrics_are_those_of_torchmetrics_on_images(reader, capsys):
    """With the classifier's features asked for by torchmetrics itself."""
    metrics, module, data = measured(SampleQuality("reader", samples=400))
    wanted = torch.cat(module.asked)
    assert len(wanted) == 400
    assert wanted.float().mean() == pytest.approx(1 / 3, abs=0.01)  # as in training
    assert metrics["test/class_accuracy"] == pytest.approx(0.8)
    assert metrics["test/class_accuracy_real"] == 1

    noise = generators(0, range(400))
    assert module.seeds == [one.initial_seed() for one in noise]
    parts = [wanted[:250], noise[:250]], [wanted[250:], noise[250:]]
    samples = torch.cat([Drawer().sample(*part) for part in parts])
    for name, images in [("fid", samples), ("fid_matched", samples[:30]), ("fid_real", data.test_set.images)]:
        metric = FrechetInceptionDistance(feature=Features(reader))
        metric.update(data.train_set.images, real=True)
        metric.update(images, real=False)
        assert metrics[f"test/{name}"] == pytest.approx(metric.compute().item(), rel=1e-4, abs=1e-6)

    def features(images):
        return reader.features(images).detach()

    spread = data.train_set.images[torch.arange(30) * 3]  # as many as there are held-out images
    for suffix, real, images in [("", data.train_set.images, samples), ("_real", spread, data.test_set.images)]:
        images = images[torch.arange(len(real)) * len(images) // len(real)]
        for name, value in precision_recall(features(real), features(images), 5)._asdict().items():
            if f"test/{name}{suffix}" in metrics:
                assert metrics[f"test/{name}{suffix}"] == pytest.approx(value), name
    assert {f"test/{name}" for name in ("recall", "density", "coverage", "precision_real", "recall_real")} < {*metrics}
    assert metrics["test/kid"] > 0
    assert metrics["test/fid"] > 5 * metrics["test/fid_real"]
    assert "400 samples, 90 training and 30 held-out images" in " ".join(capsys.readouterr().out.split())


def test_the_same_samples_each_time(reader):
    assert measured(SampleQuality("reader", samples=50))[0] == measured(SampleQuality("reader", samples=50))[0]
    assert measured(SampleQuality("reader", samples=50, seed=1))[0] != measured(SampleQuality("reader", samples=50))[0]


def test_features_and_classes_are_the_classifiers(reader):
    images = grey(torch.tensor([0, 1, 1]), torch.Generator().manual_seed(0))
    seen = extract_features(reader, images)
    torch.testing.assert_close(seen.features, reader.features(images).detach())
    assert seen.predicted.tolist() == [0, 1, 1]


def test_too_few_held_out_images_are_refused(reader):
    class Few(Grey):
        def setup(self, stage=None):
            super().setup(stage)
            self.test_set = self.test_set.subset(torch.arange(5))

    trainer = L.Trainer(accelerator="cpu", callbacks=[SampleQuality("reader", samples=50)], logger=False)
    with pytest.raises(ValueError, match=r"90 training and 5 held-out images; a FID, .* need at least 6"):
        trainer.test(Drawer(), Few(), verbose=False)


@pytest.mark.parametrize(
    ("samples", "words"),
    [(1, "samples=1 must be a whole number of at least 6"), (8, "samples=8 are too few to measure 8 feat")],
)
def test_too_few_samples_are_refused(reader, samples, words):
    with pytest.raises(ValueError, match=words):
        measured(SampleQuality("reader", samples=samples))


class MeanColours(ImageFeatures):
    def __init__(self, name="colours", count=3):
        self.name, self.count = name, count

    def load(self, shape):
        assert tuple(shape) == SHAPE
        return Colours(self.count)


class Colours(nn.Module):
    device = torch.device("cpu")

    def __init__(self, count):
        super().__init__()
        self.count = count

    def features(self, images):
        return images.float().mean((2, 3)).repeat(1, self.count // 3)


def test_other_features_measure_the_same_samples_once_more(reader):
    alone, _, _ = measured(SampleQuality("reader", samples=50))
    metrics, module, data = measured(SampleQuality("reader", samples=50, features=[MeanColours()]))
    assert {name: metrics[name] for name in alone} == alone
    assert {name for name in metrics if name.endswith("/colours")} == {
        f"{name}/colours" for name in alone if "class_accuracy" not in name
    }
    metric = FrechetInceptionDistance(feature=Features(Colours(3)))
    metric.update(data.train_set.images, real=True)
    metric.update(data.test_set.images, real=False)
    assert metrics["test/fid_real/colours"] == pytest.approx(metric.compute().item(), rel=1e-4)
    assert len(module.seeds) == 50, "one batch, which is drawn in any case"


def test_features_of_one_name_are_refused():
    with pytest.raises(ValueError, match="features are called colours, colours; give each a name of its own"):
        SampleQuality("reader", features=[MeanColours(), MeanColours()])


def test_too_few_samples_for_other_features_are_refused(reader):
    callback = SampleQuality("reader", samples=50, features=[MeanColours(count=60)])
    with pytest.raises(ValueError, match="samples=50 are too few to measure 60 features of colours"):
        measured(callback)
