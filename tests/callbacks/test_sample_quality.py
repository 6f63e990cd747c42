import lightning as L
import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from callbacks import sample_quality
from callbacks.sample_quality import SampleQuality, frechet_distance, kernel_distance, look
from datamodules.images import ImageDataModule, ImageSet
from diffusion.noise import generators
from lightning_modules.mlp_classifier import MLPClassifier

SHAPE = (3, 4, 4)
DARK, BRIGHT = 40, 200  # grey levels of the two classes


def gaussian(mean, factor, n=200_000, seed=0):
    mean, factor = torch.tensor(mean).double(), torch.tensor(factor).double()
    white = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(seed)).double()
    white = (white - white.mean(0)) @ torch.linalg.cholesky(torch.linalg.inv(white.T.cov()))  # exactly white
    return mean + white @ factor.T


def test_frechet_distance_of_known_gaussians():
    """|m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2)), which for commuting S is the sum of (s - s')^2 over deviations s."""
    here = gaussian([0.0, 1.0], [[2.0, 0.0], [0.0, 0.5]])
    there = gaussian([3.0, -1.0], [[1.0, 0.0], [0.0, 1.5]], seed=1)
    assert frechet_distance(here, there) == pytest.approx(9 + 4 + (2 - 1) ** 2 + (0.5 - 1.5) ** 2, rel=1e-6)
    assert frechet_distance(here, here) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_gaussians_that_do_not_commute():
    """By the eigenvalues of S S', here of 2 x 2 matrices: the trace of the root is (t + 2 d^(1/2))^(1/2), where t and d
    are trace and determinant of S S'."""
    a, b = [[1.0, 0.0], [0.8, 0.6]], [[0.5, -0.4], [0.0, 2.0]]
    s, t = (torch.tensor(m).double() @ torch.tensor(m).double().T for m in (a, b))
    product = s @ t
    expected = s.trace() + t.trace() - 2 * (product.trace() + 2 * product.det().sqrt()).sqrt()
    assert frechet_distance(gaussian([0.0, 0.0], a), gaussian([0.0, 0.0], b, seed=1)) == pytest.approx(
        float(expected), rel=1e-6
    )


def test_kernel_distance_by_its_definition():
    """Over sets as large as the subsets: averages over all pairs, without those of a picture with itself."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 5, generator=generator), torch.randn(30, 5, generator=generator) + 0.5

    def kernel(a, b):
        return (a.double() @ b.double().T / 5 + 1) ** 3

    def among(k):
        return (k.sum() - k.trace()) / (30 * 29)

    expected = among(kernel(x, x)) + among(kernel(y, y)) - 2 * kernel(x, y).mean()
    assert kernel_distance(x, y) == pytest.approx(float(expected), rel=1e-6)


def test_kernel_distance_leaves_the_global_generator_alone():
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    first = kernel_distance(x, x[:60] + 1, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert kernel_distance(x, x[:60] + 1, seed=1) == first
    assert kernel_distance(x, x[:60] + 1, seed=2) != first


class Grey(ImageDataModule):
    """Dark and bright pictures with some noise; a third of them is bright."""

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
    """Draws what is asked for, but every fifth picture of a class wrongly."""

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


@pytest.fixture
def reader(monkeypatch):
    """A classifier that reads the middle of dark and bright; 8 features."""
    torch.manual_seed(0)
    classifier = MLPClassifier(shape=list(SHAPE), num_classes=2, hidden=[8], mean=[0.0] * 3, std=[1.0] * 3).eval()
    with torch.no_grad():
        network = classifier.network
        network.first_weight.abs_()
        network.layers[1].bias.zero_()
        mean = network.features(torch.full((1, *SHAPE), 120 / 255))
        network.head.weight.copy_(torch.stack([-torch.ones(8), torch.ones(8)]))
        network.head.bias.copy_(torch.tensor([1.0, -1.0]) * mean.sum())
    monkeypatch.setattr(sample_quality, "load_pretrained", lambda folder: {"reader": classifier}[folder])
    return classifier


def measured(callback):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer, module, data = L.Trainer(accelerator="cpu", callbacks=[callback], **quiet), Drawer(), Grey()
    (metrics,) = trainer.test(module, data, verbose=False)
    return metrics, module, data


def test_metrics_are_those_of_torchmetrics_on_pictures(reader, capsys):
    """With the classifier's features asked for by torchmetrics itself."""
    metrics, module, data = measured(SampleQuality("reader", samples=400))
    wanted = torch.cat(module.asked)
    assert len(wanted) == 400
    assert wanted.float().mean() == pytest.approx(1 / 3, abs=0.01)  # as in training
    assert metrics["test/readable"] == pytest.approx(0.8)
    assert metrics["test/readable_real"] == 1

    class Features(nn.Module):
        num_features = 8

        def forward(self, images):
            return reader.features(images)

    noise = generators(0, range(400))
    assert module.seeds == [one.initial_seed() for one in noise]
    parts = [wanted[:250], noise[:250]], [wanted[250:], noise[250:]]
    samples = torch.cat([Drawer().sample(*part) for part in parts])
    for name, pictures in [("fid", samples), ("fid_few", samples[:30]), ("fid_floor", data.test_set.images)]:
        metric = FrechetInceptionDistance(feature=Features())
        metric.update(data.train_set.images, real=True)
        metric.update(pictures, real=False)
        assert metrics[f"test/{name}"] == pytest.approx(metric.compute().item(), rel=1e-4, abs=1e-6)
    assert metrics["test/kid"] > 0
    assert metrics["test/fid"] > 5 * metrics["test/fid_floor"]
    assert "400 samples, 90 training and 30 held-out pictures" in " ".join(capsys.readouterr().out.split())


def test_the_same_samples_each_time(reader):
    assert measured(SampleQuality("reader", samples=50))[0] == measured(SampleQuality("reader", samples=50))[0]
    assert measured(SampleQuality("reader", samples=50, seed=1))[0] != measured(SampleQuality("reader", samples=50))[0]


def test_a_look_is_the_classifiers(reader):
    images = grey(torch.tensor([0, 1, 1]), torch.Generator().manual_seed(0))
    seen = look(reader, images)
    torch.testing.assert_close(seen.features, reader.features(images).detach())
    assert seen.named.tolist() == [0, 1, 1]


def test_a_single_held_out_picture_is_refused(reader):
    class One(Grey):
        def setup(self, stage=None):
            super().setup(stage)
            self.test_set = self.test_set.subset(torch.arange(1))

    trainer = L.Trainer(accelerator="cpu", callbacks=[SampleQuality("reader", samples=50)], logger=False)
    with pytest.raises(ValueError, match="90 training and 1 held-out pictures; a FID needs at least 2"):
        trainer.test(Drawer(), One(), verbose=False)


@pytest.mark.parametrize(("samples", "words"), [(1, "samples=1 must"), (8, "samples=8 are too few to measure 8 feat")])
def test_too_few_samples_are_refused(reader, samples, words):
    with pytest.raises(ValueError, match=words):
        measured(SampleQuality("reader", samples=samples))
