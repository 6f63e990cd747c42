"""Grids, interpolations, neighbours and files of what a generative model draws."""

import imageio.v3 as iio
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adversarial.slerp import slerp
from callbacks import feature_extractor
from callbacks.image_prediction_writer import ImagePredictionWriter
from callbacks.latent_interpolation import LatentInterpolation
from callbacks.nearest_neighbours import NearestNeighbours, beside
from callbacks.sample_grid import SampleGrid, draw, grid
from callbacks.sample_quality import SampleQuality
from diffusion.noise import generators
from lightning_modules.gan import GAN
from lightning_modules.mlp_classifier import MLPClassifier
from tests.lightning_modules.test_gan import TINY, Noise


def gan():
    torch.manual_seed(0)
    return GAN(**TINY)


def trainer(folder, callback, **options):
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    logger = TensorBoardLogger(folder, name="", version="")
    options = {"max_steps": 10, "limit_val_batches": 0} | options
    return L.Trainer(accelerator="cpu", logger=logger, callbacks=[callback], **quiet, **options)


def read(path):
    return torch.from_numpy(iio.imread(path)).permute(2, 0, 1)


def unlabelled(image, like):
    """The grid without the names around it."""
    return image[:, -like.shape[1] :, -like.shape[2] :]


def test_a_grid_every_n_optimizer_steps_and_at_the_end(tmp_path):
    module = gan()
    trainer(tmp_path, SampleGrid(every_n_steps=3, rows=2)).fit(module, Noise())
    # Two steps a batch: after 4, 6 and 10 steps, three more have gone by since the last grid.
    assert sorted(path.name for path in (tmp_path / "images/samples").iterdir()) == [
        f"{step:07d}.png" for step in (4, 6, 10)
    ]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [image.step for image in events.Images("samples")] == [4, 6, 10, 10]
    samples = grid(draw(module, 3, 2), 3)
    assert torch.equal(unlabelled(read(tmp_path / "images/samples/0000010.png"), samples), samples)


def test_the_same_noise_for_every_grid():
    module = gan()
    state = torch.get_rng_state()
    first = draw(module, 3, 2)
    assert torch.equal(torch.get_rng_state(), state)  # training goes on as it would have
    assert torch.equal(draw(module, 3, 2), first)
    assert not torch.equal(draw(module, 3, 2, seed=1), first)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.equal(first, module.sample(labels, generators(0, range(6))))
    assert torch.equal(draw(module, 3, 1), first[:3])  # more rows leave the first ones as they are


def test_a_grid_holds_every_image_enlarged():
    images = torch.randint(256, (6, 3, 4, 5), dtype=torch.uint8)
    whole = grid(images, columns=3, scale=2)
    assert whole.shape == (3, 2 * (8 + 2) + 2, 3 * (10 + 2) + 2)
    for number, expected in enumerate(images):
        top, left = 2 + (number // 3) * 10, 2 + (number % 3) * 12
        assert torch.equal(whole[:, top : top + 8 : 2, left : left + 10 : 2], expected)
        assert torch.equal(whole[:, top + 1 : top + 9 : 2, left + 1 : left + 11 : 2], expected)


def test_an_interpolation_passes_its_stops_and_closes(tmp_path):
    module, callback = gan().eval(), LatentInterpolation(stops=3, frames=4, rows=2)
    trainer(tmp_path, callback).test(module, Noise(), verbose=False)
    frames = callback.interpolation(module, 3)
    assert frames.shape == (12, 38, 56, 3)
    for stop in range(3):
        z = module.latents(2, generators(0, [stop, 3 + stop])).repeat_interleave(3, 0)
        expected = module.sample(torch.tensor([0, 1, 2, 0, 1, 2]), latents=slerp(z, z.flip(1), 0.0))
        shown = torch.from_numpy(frames[4 * stop]).permute(2, 0, 1)
        assert (shown.int() - grid(expected, 3).int()).abs().max() <= 1
    steps = np.abs(np.diff(frames.astype(int), axis=0, append=frames[:1])).max((1, 2, 3))
    assert steps.max() < 2 * np.median(steps) + 3  # nowhere a jump, not even from the end to the beginning
    (video,) = (tmp_path / "videos/latent_interpolation").iterdir()
    assert iio.imread(video).shape == frames.shape


def test_neighbours_are_the_nearest():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, 3, 4, 4), generator=generator, dtype=torch.uint8)
    features = torch.randn(40, 5, generator=generator)
    samples = images[[7, 21]].clone()
    samples[:, 0, 0, 0] ^= 1
    rows = beside(samples, images, features[[3, 4]] + 0.001, features, 2)
    assert rows.shape == (2, 5, 3, 4, 4)
    for row, sample, alike, same in zip(rows, samples, (3, 4), (7, 21), strict=True):
        assert torch.equal(row[0], sample)
        assert torch.equal(row[1], images[alike])
        second = sorted(range(40), key=lambda i: float((features[i] - features[alike] - 0.001).norm()))[1]
        assert torch.equal(row[2], images[second])
        assert torch.equal(row[3], images[same])


def test_neighbours_are_drawn_at_test(tmp_path, monkeypatch):
    module, data = gan(), Noise()
    reader = MLPClassifier(shape=[3, 8, 8], num_classes=3, hidden=[5], mean=[0.5] * 3, std=[0.2] * 3).eval()
    monkeypatch.setattr(feature_extractor, "load_trained", lambda folder: {"reader": reader}[folder])
    trainer(tmp_path, NearestNeighbours("reader", neighbours=2)).test(module, data, verbose=False)
    shown = read(tmp_path / "images/test/neighbours/0000000.png")
    samples, images = draw(module, 3, 1), data.train_set.images
    rows = beside(samples, images, reader.features(samples).detach(), reader.features(images).detach(), 2)
    expected = grid(rows.flatten(0, 1), 5)
    assert torch.equal(unlabelled(shown, expected), expected)


def test_predict_leaves_a_file_for_each_image(tmp_path, capsys):
    module, data = gan(), Noise()
    torch.manual_seed(0)
    outputs = torch.cat(trainer(tmp_path, ImagePredictionWriter()).predict(module, data))
    files = sorted((tmp_path / "drawn").glob("*-*.png"))
    assert len(files) == 56
    assert files[5].name == "00005-fox.png"
    for number, file in enumerate(files):
        assert torch.equal(read(file), outputs[number])
    assert torch.equal(read(tmp_path / "drawn/grid.png"), grid(outputs))
    assert "56 images in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 4}, "the classifier reader tells 4 classes apart, the data have 3"),
        (
            {"shape": [1, 8, 8], "mean": [0.5], "std": [0.2]},
            r"of shape \[1, 8, 8\], the data's are \[3, 8",
        ),
        ({"names": "abc"}, "the classifier reader knows the classes a, b, c, the data cat, dog, fox"),
    ],
)
@pytest.mark.parametrize("kind", [NearestNeighbours, SampleQuality])
@pytest.mark.parametrize("call", ["fit", "test"])
def test_a_classifier_of_other_data_is_refused_before_any_work(call, kind, options, words, tmp_path, monkeypatch):
    given = {"shape": [3, 8, 8], "num_classes": 3, "hidden": [5], "mean": [0.5] * 3, "std": [0.2] * 3} | options
    names, module = given.pop("names", ()), gan()
    classifier = MLPClassifier(**given).eval()
    classifier.names.adopt(tuple(names))
    monkeypatch.setattr(feature_extractor, "load_trained", lambda folder: classifier)
    for work in ("sample", "training_step"):
        monkeypatch.setattr(module, work, lambda *_, **__: pytest.fail("it has begun"))
    with pytest.raises(ValueError, match=words):
        getattr(trainer(tmp_path, kind("reader")), call)(module, Noise())


@pytest.mark.parametrize("kind", [NearestNeighbours, SampleQuality])
def test_a_classifier_that_is_not_there_is_missed_before_training(kind, tmp_path):
    module = gan()
    module.training_step = lambda *_: pytest.fail("it has begun")
    with pytest.raises(FileNotFoundError, match=rf"{kind.__name__} measures by .* no weights runs/none; .* train it"):
        trainer(tmp_path, kind("runs/none")).fit(module, Noise())


@pytest.mark.parametrize("kind", [NearestNeighbours, SampleQuality])
def test_comparisons_need_a_datamodule(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_extractor, "load_trained", lambda folder: MLPClassifier(hidden=[5]))
    with pytest.raises(ValueError, match="give the trainer a datamodule"):
        trainer(tmp_path, kind("reader")).test(gan(), Noise().test_dataloader(), verbose=False)


def test_a_class_of_any_name_has_files(tmp_path):
    data = Noise()
    data.class_names = ("n/a", "..", "fox: red")
    trainer(tmp_path, ImagePredictionWriter()).predict(gan(), data)
    names = {file.name.partition("-")[2] for file in (tmp_path / "drawn").glob("*-*.png")}
    assert names == {"n_a.png", "...png", "fox__red.png"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SampleGrid(every_n_steps=0), "every_n_steps=0"),
        (lambda: SampleGrid(rows=0), "rows=0"),
        (lambda: LatentInterpolation(stops=1), "stops=1"),
        (lambda: NearestNeighbours("reader", neighbours=0), "neighbours=0"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
