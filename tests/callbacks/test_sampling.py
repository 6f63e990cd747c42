"""Whatever draws in the middle of a run leaves it as it was: modes, gradients' mode, global generators."""

import random
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks import feature_extractor
from callbacks.denoising_strip import DenoisingStrip
from callbacks.guidance_grid import GuidanceGrid
from callbacks.latent_interpolation import LatentInterpolation
from callbacks.nearest_neighbours import NearestNeighbours
from callbacks.resume.random_state import random_state
from callbacks.sample_grid import SampleGrid
from callbacks.sample_quality import SampleQuality
from callbacks.sampling import class_names, watching
from callbacks.saturation import Saturation
from lightning_modules.ddpm import DDPM
from lightning_modules.gan import GAN
from lightning_modules.mlp_classifier import MLPClassifier
from networks.unet2d import UNet2D
from tests.lightning_modules.test_gan import TINY, Noise


class Restless(GAN):
    """Draws with dropout where it is in training mode, and from every global generator."""

    def __init__(self):
        super().__init__(**TINY)
        self.dropout = torch.nn.Dropout(0.5)

    def sample(self, labels, *options, **named):
        torch.rand(1)
        np.random.rand()  # noqa: NPY002
        random.random()
        drawn = super().sample(labels, named.get("generator"), named.get("latents"))
        return (self.dropout(drawn.float()) * (1 if self.training else 0.5)).byte()


def ddpm():
    return DDPM(partial(UNet2D, widths=[64], attention=0, dropout=0.5), [3, 8, 8], 3, sampling_steps=2)


def reader(folder):
    return MLPClassifier(shape=[3, 8, 8], num_classes=3, hidden=[5], mean=[0.5] * 3, std=[0.2] * 3)


def of_batch(name):
    return lambda callback, trainer, module: getattr(callback, name)(trainer, module, None, 0)


def at_the_end(callback, trainer, module):
    callback.on_test_start(trainer, module)
    callback.on_test_end(trainer, module)


def after_a_look(callback, trainer, module):
    callback.on_test_start(trainer, module)
    callback.on_test_batch_start(trainer, module, None, 0)


@pytest.mark.parametrize(
    ("module", "callback", "call"),
    [
        (Restless, SampleGrid(rows=1), lambda callback, *given: callback.on_train_end(*given)),
        (Restless, LatentInterpolation(2, 1, 1), lambda callback, *given: callback.on_train_end(*given)),
        (ddpm, GuidanceGrid([2.0]), of_batch("on_validation_batch_start")),
        (ddpm, Saturation([2.0], 3), of_batch("on_validation_batch_start")),
        (ddpm, DenoisingStrip(), of_batch("on_test_batch_start")),
        (Restless, NearestNeighbours("reader", 1), at_the_end),
        (Restless, SampleQuality("reader", 6), after_a_look),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_callback_that_draws_leaves_no_trace(module, callback, call, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_extractor, "load_trained", reader)
    module, data = module(), Noise()
    trainer = L.Trainer(
        accelerator="cpu",
        logger=TensorBoardLogger(tmp_path, name="", version=""),
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=0,
    )
    trainer.fit(module, data)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    module.train()
    next(module.children()).eval()  # a part of it stands still
    modes, states = [part.training for part in module.modules()], random_state()
    call(callback, trainer, module)
    written = [path for kind in ("images", "videos") for path in tmp_path.rglob(f"{kind}/**/*.*")]
    assert written or isinstance(callback, SampleQuality)
    assert [part.training for part in module.modules()] == modes
    after = random_state()
    assert after["python"] == states["python"]
    assert torch.equal(after["torch"], states["torch"])
    assert torch.equal(after["numpy"][1], states["numpy"][1])
    assert after["numpy"][2:] == states["numpy"][2:]
    assert torch.is_grad_enabled()


def test_after_an_error_too():
    module = Restless().train()
    modes, state = [part.training for part in module.modules()], torch.get_rng_state()

    def look():
        with watching(module):
            assert not module.training
            assert not torch.is_grad_enabled()
            torch.rand(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_class_names_are_those_of_the_data_or_numbers():
    def of(data, **options):
        module = GAN(**TINY | options)
        module.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        module.trainer.datamodule = data
        return class_names(module)

    assert of(Noise()) == ("cat", "dog", "fox")
    assert of(None) == ["0", "1", "2"]
    assert of(None, num_classes=0) == ["0"]
