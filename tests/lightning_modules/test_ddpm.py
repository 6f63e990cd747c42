from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader

from callbacks.resume.random_state import random_state
from datamodules.class_labels import ClassLabels
from datamodules.images import ImageSet
from diffusion.noise import generators
from diffusion.noise_schedule import CosineSchedule, FlowMatchingSchedule, LinearSchedule
from diffusion.prediction_type import Epsilon, FlowPrediction, Sample
from diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolver, EulerSampler, HeunSampler
from diffusion.thresholding import NoThresholding, StaticThresholding
from diffusion.timestep_distribution import LogitNormal, Uniform
from lightning_modules.ddpm import DDPM
from networks.unet2d import UNet2D
from optim.lr_schedule import Constant

TINY = {
    "network": partial(UNet2D, widths=[64], attention=0),
    "shape": [1, 8, 8],
    "num_classes": 3,
    "sampling_steps": 3,
    "lr_schedule": Constant(),
}
each_sampler = pytest.mark.parametrize(
    "sampler",
    [DDPMSampler(), DDIMSampler(), DPMSolver(), EulerSampler(), HeunSampler()],
    ids=lambda sampler: type(sampler).__name__,
)


def images(n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randint(256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8),
        "label": torch.arange(n) % 3,
    }


class Images(L.LightningDataModule):
    shape, class_names = (1, 8, 8), ("a", "b", "c")

    def train_dataloader(self):
        return DataLoader(ImageSet(*images().values()), 4, collate_fn=lambda batch: batch)

    val_dataloader = train_dataloader


def fit(module, steps, callbacks=(), ckpt_path=None, data=None, **options):
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **{"logger": False, "enable_checkpointing": False, **options},
    )
    trainer.fit(module, data or Images(), ckpt_path=ckpt_path)
    return trainer


@pytest.fixture
def model():
    """Its head says something, so that what it depends on shows."""
    torch.manual_seed(0)
    model = DDPM(**TINY).eval()
    torch.nn.init.normal_(model.network.head.weight, std=0.1)
    torch.nn.init.normal_(model.network.embed_class.weight, std=2.0)
    for block in model.network.modules():
        if hasattr(block, "convs"):
            torch.nn.init.normal_(block.convs[1].weight, std=0.05)
    return model


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prediction_type": Epsilon(), "noise_schedule": LinearSchedule()},
        {"prediction_type": Sample(), "min_snr_gamma": 5.0, "noise_schedule": CosineSchedule()},
        {
            "prediction_type": FlowPrediction(),
            "noise_schedule": FlowMatchingSchedule(),
            "timestep_distribution": LogitNormal(),
            "sampler": HeunSampler(),
        },
    ],
)
def test_trains_and_draws(options):
    torch.manual_seed(0)
    model = DDPM(**TINY, **options)
    trainer = fit(model, 3)
    assert {"train/loss", "val/loss"} <= trainer.callback_metrics.keys()
    drawn = model.eval().sample(torch.tensor([0, 1]), generator=seeded())
    assert drawn.dtype == torch.uint8
    assert drawn.shape == (2, 1, 8, 8)


def test_samples_repeat_with_the_same_generator_and_differ_with_another(model):
    labels = torch.tensor([0, 1, 2])
    assert torch.equal(model.sample(labels, generator=seeded()), model.sample(labels, generator=seeded()))
    assert not torch.equal(model.sample(labels, generator=seeded()), model.sample(labels, generator=seeded(1)))


def test_scale_0_forgets_the_class_and_1_does_not(model):
    draws = {
        (scale, label): model.sample(torch.full((4,), label), guidance_scale=scale, generator=seeded())
        for scale in (0, 1)
        for label in (0, 1)
    }
    assert torch.equal(draws[0, 0], draws[0, 1])
    assert not torch.equal(draws[1, 0], draws[1, 1])


@each_sampler
def test_an_image_does_not_depend_on_the_others_of_its_batch(model, sampler):
    """With generators of their own, up to rounding; with one for all of them, it does."""
    labels = torch.tensor([0, 1, 2])

    def drawn(numbers):
        return model.sample(labels[numbers], sampler=sampler, generator=generators(4, numbers))

    whole = drawn([0, 1, 2]).int()
    for numbers in ([0, 1], [2], [2, 0]):
        assert (drawn(numbers).int() - whole[numbers]).abs().max() <= 1
    assert (whole[0] - whole[1]).abs().max() > 10
    together = model.sample(labels, sampler=sampler, generator=seeded())
    generator = seeded()
    parts = [model.sample(labels[part], sampler=sampler, generator=generator) for part in ([0, 1], [2])]
    assert not isinstance(sampler, DDPMSampler) or (torch.cat(parts).int() - together.int()).abs().max() > 10


def test_predict_draws_the_same_in_batches_of_any_size(model):
    """Noise from the run's seed and the image's number, not from its place in a batch."""

    def drawn(size):
        data = ClassLabels(("a", "b", "c"), 5, size)
        return torch.cat(L.Trainer(accelerator="cpu", barebones=True).predict(model, data)).int()

    L.seed_everything(3, verbose=False)
    whole = drawn(5)
    assert whole.shape == (5, 1, 8, 8)
    for size in (1, 2, 100):
        torch.rand(size)  # whatever else was drawn before
        assert (drawn(size) - whole).abs().max() <= 1
    expected = model.sample([0, 1, 2, 0, 1], generator=generators(3, range(5))).int()
    assert torch.equal(whole, expected)
    L.seed_everything(4, verbose=False)
    assert (drawn(5) - whole).abs().max() > 10


def test_drawing_while_training_is_drawing_and_leaves_no_trace(model):
    """No dropout, no number from a global generator; each part is in train or eval mode as before."""
    torch.manual_seed(0)
    dropping = DDPM(**TINY | {"network": partial(UNet2D, widths=[64], attention=0, dropout=0.5)})
    dropping.load_state_dict(model.state_dict())
    dropping.train()
    dropping.network.middle.eval()
    modes = [part.training for part in dropping.modules()]
    states = random_state()
    drawn = dropping.sample([0, 1], generator=seeded())
    assert torch.equal(drawn, model.sample([0, 1], generator=seeded()))
    assert [part.training for part in dropping.modules()] == modes
    assert torch.equal(states["torch"], torch.get_rng_state())
    with pytest.raises(ZeroDivisionError):
        dropping.sample([0], on_step=lambda number, x0: 1 // 0)
    assert [part.training for part in dropping.modules()] == modes


def test_held_out_errors_do_not_depend_on_the_batch(model, monkeypatch):
    """Noise and step of each image come from its number: sums over batches of any size are equal."""
    data = ImageSet(*images(12).values())

    def total(size):
        logged = []
        monkeypatch.setattr(
            model, "log", lambda name, value, batch_size, **_: logged.append((name, value.item() * batch_size))
        )
        for number, first in enumerate(range(0, 12, size)):
            model.validation_step(data.__getitems__(list(range(first, first + size))), number)
        return sum(value for name, value in logged if name == "val/loss")

    assert total(1) == pytest.approx(total(12), rel=1e-4)
    assert total(4) == pytest.approx(total(12), rel=1e-4)


@each_sampler
def test_sampling_is_the_samplers_own_with_the_networks_prediction(model, sampler):
    """By the slow road: two evaluations a step, Eq. 6 of the guidance paper, clipping, x_0 from v by its formula."""
    labels = torch.tensor([0, 2])

    def denoise(x, t):
        conditional, nothing = (model.network(x, t, given) for given in (labels, torch.tensor([3, 3])))
        v = 2.5 * conditional - 1.5 * nothing
        alpha_bar = model.scheduler.alpha_bar[t][:, None, None, None]
        return (alpha_bar.sqrt() * x - (1 - alpha_bar).sqrt() * v).clamp(-1, 1)

    generator = seeded()
    x = torch.randn(2, 1, 8, 8, generator=generator)
    expected = sampler(denoise, x, model.scheduler, 5, generator)
    drawn = model.sample(labels, 2.5, StaticThresholding(), sampler, 5, generator=seeded())
    assert (drawn - (expected + 1) * 127.5).abs().max() < 0.51


def test_what_is_not_given_is_as_configured(model):
    labels = torch.tensor([0, 1])
    hp = model.hparams
    given = (hp.guidance_scale, model.thresholding, model.sampler, hp.sampling_steps)
    assert torch.equal(model.sample(labels, *given, generator=seeded()), model.sample(labels, generator=seeded()))
    for changed in ({"guidance_scale": 5.0}, {"sampling_steps": 4}, {"sampler": DDPMSampler()}):
        assert not torch.equal(
            model.sample(labels, **changed, generator=seeded()), model.sample(labels, generator=seeded())
        )


def test_a_checkpoint_holds_plain_values_alone(model):
    """Objects are built by whoever loads it: from the run's config, or as arguments."""
    plain = (int, float, str, type(None))
    for name, value in model.hparams.items():
        assert all(isinstance(part, plain) for part in (value if isinstance(value, tuple | list) else [value])), name


def test_an_own_network_sampler_and_thresholding():
    """As a user writes them: any module of (x, t, labels), any subclass of the base classes."""

    class Denoiser(torch.nn.Module):
        def __init__(self, shape, num_classes):
            super().__init__()
            self.means = torch.nn.Parameter(torch.zeros(num_classes + 1, *shape))

        def forward(self, x, t, labels):
            return self.means[labels] + 0 * x

    class FirstGuess(DDIMSampler):
        def __call__(self, denoise, x, scheduler, steps, generator=None, on_step=None):
            return denoise(x, torch.full((len(x),), scheduler.num_train_timesteps - 1))

    class Halved(NoThresholding):
        def __call__(self, x0):
            return x0 / 2

    model = DDPM(Denoiser, [1, 8, 8], 3, prediction_type=Sample(), thresholding=Halved(), sampler=FirstGuess())
    torch.nn.init.constant_(model.network.means[1:2].detach(), 1.0)
    drawn = model.sample([0, 1], guidance_scale=1.0)
    assert drawn[0].unique().tolist() == [128]  # 127.5, rounded to even
    assert drawn[1].unique().tolist() == [191]  # (0.5 + 1) * 127.5 = 191.25


def test_labels_are_dropped_in_training_only(monkeypatch):
    torch.manual_seed(0)
    model = DDPM(**TINY, condition_dropout=0.5)
    monkeypatch.setattr(model, "log", lambda *args, **kwargs: None)
    seen = []
    forward = model.network.forward
    monkeypatch.setattr(model.network, "forward", lambda x, t, labels: seen.append(labels) or forward(x, t, labels))
    batch = images(300)
    model.training_step(batch, 0)
    model.validation_step(batch, 0)
    assert 100 < (seen[0] == 3).sum() < 200
    assert torch.equal(seen[1], batch["label"])


def test_the_training_loss_is_the_weighted_squared_error(model, monkeypatch):
    """Image by image from the closed forms: min(SNR, 5) / (SNR + 1) times the squared error of v."""
    batch, logged = images(6), {}
    monkeypatch.setattr(model, "log", lambda name, value, **kwargs: logged.update({name: value}))
    model.hparams.condition_dropout, model.hparams.min_snr_gamma = 0.0, 5.0
    torch.manual_seed(3)
    model.training_step(batch, 0)
    torch.manual_seed(3)
    torch.rand(6)  # which labels to drop
    t = torch.randint(1000, (6,))
    noise = torch.randn(6, 1, 8, 8)
    alpha_bar = torch.cumprod(1 - model.scheduler.betas.double(), 0).float()
    total = 0.0
    for i in range(6):
        x0, a = batch["image"][i] / 127.5 - 1, alpha_bar[t[i]]
        x_t = a.sqrt() * x0 + (1 - a).sqrt() * noise[i]
        v = a.sqrt() * noise[i] - (1 - a).sqrt() * x0
        error = (model.network(x_t[None], t[i : i + 1], batch["label"][i : i + 1])[0] - v).square().mean()
        snr = a / (1 - a)
        total += min(snr.item(), 5) / (snr + 1) * error
    torch.testing.assert_close(logged["train/loss"], total / 6, rtol=1e-3, atol=1e-5)


def test_a_distribution_of_steps_is_of_training_alone(model, monkeypatch):
    """So that validation losses of two of them can be compared."""
    seen, batch = [], images(40)
    monkeypatch.setattr(model, "log", lambda name, value, **_: seen.append((name, float(value))))
    for distribution in (Uniform(), LogitNormal(2.0)):
        model.timestep_distribution = distribution
        torch.manual_seed(0)
        model.training_step(batch, 0)
        model.validation_step(batch, 0)
    (train, *validated), (other, *again) = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert train != other
    assert validated == again


def test_validation_losses_are_those_of_each_noise_level(model, monkeypatch):
    logged = {}
    monkeypatch.setattr(
        model, "log", lambda name, value, batch_size, **kwargs: logged.update({name: (value, batch_size)})
    )
    batch = images(40)
    model.validation_step(batch, 7)
    errors, t = model._errors(batch["image"], batch["label"], Uniform(), seeded(7))
    torch.testing.assert_close(logged["val/loss"][0], errors.mean())
    for number, (low, high) in enumerate([(0, 250), (250, 500), (500, 750), (750, 1000)]):
        own = errors[(t >= low) & (t < high)]
        torch.testing.assert_close(logged[f"val/loss/level_{number}"][0], own.mean())
        assert logged[f"val/loss/level_{number}"][1] == len(own)


def test_overfits_three_images():
    """Each class is one image: what is drawn for a class is that image, and nothing else."""
    torch.manual_seed(0)
    model = DDPM(**TINY | {"sampling_steps": 15})
    batch = {name: values.repeat(5, *[1] * (values.ndim - 1)) for name, values in images(3).items()}
    batch["image"] = batch["image"] // 128 * 255  # black or white
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model._errors(batch["image"], batch["label"], Uniform())[0].mean().backward()
        optimizer.step()
    drawn = model.eval().sample(torch.tensor([0, 1, 2]), guidance_scale=1.0, generator=seeded())
    wrong = ((drawn.float() - batch["image"][:3].float()).abs() > 100).float().mean((1, 2, 3))
    assert wrong.max() < 0.1, wrong


def test_resuming_equals_not_stopping(tmp_path):
    """Weights and averaged weights after 3 + 3 steps are those after 6, bit for bit (randomness is set at the seam)."""

    class Seam(L.Callback):
        def on_train_batch_start(self, trainer, *_):
            torch.manual_seed(trainer.global_step)

    def run(stop, folder, ckpt_path=None):
        torch.manual_seed(0)
        callbacks = [
            EMAWeightAveraging(decay=0.9, use_buffers=False),
            Seam(),
            ModelCheckpoint(folder, every_n_train_steps=3, filename="{step}", save_top_k=-1),
        ]

        class Stop(L.Callback):  # the schedule sees all six steps
            def on_train_batch_end(self, trainer, *_):
                trainer.should_stop = trainer.global_step >= stop

        fit(DDPM(**TINY), 6, [*callbacks, Stop()], ckpt_path, enable_checkpointing=True, limit_val_batches=0)
        return torch.load(folder / f"step={stop}.ckpt", weights_only=True)

    whole = run(6, tmp_path / "whole")
    run(3, tmp_path / "half")
    resumed = run(6, tmp_path / "resumed", tmp_path / "half" / "step=3.ckpt")
    for part in ("state_dict", "current_model_state"):
        for name, value in whole[part].items():
            assert torch.equal(value, resumed[part][name]), (part, name)


def test_a_checkpoint_opens_without_the_cli(tmp_path, model):
    trainer = L.Trainer(logger=False, accelerator="cpu", barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = DDPM.load_from_checkpoint(
        tmp_path / "model.ckpt", map_location="cpu", weights_only=True, network=TINY["network"]
    ).eval()
    labels = torch.tensor([0, 1])
    assert torch.equal(loaded.sample(labels, generator=seeded()), model.sample(labels, generator=seeded()))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DDPM(**TINY | {"sampling_steps": 2000}), ["sampling_steps=2000", "num_train_timesteps=1000"]),
        (lambda: DDPM(**TINY, condition_dropout=1.0), ["condition_dropout=1.0"]),
        (lambda: DDPM(**TINY).sample(torch.tensor([0]), guidance_scale=-1.0), ["guidance_scale=-1.0"]),
        (lambda: DDPM(**TINY).sample(torch.tensor([0]), sampling_steps=0), ["steps=0"]),
        (lambda: DDPM(**TINY).sample(torch.tensor([0, 3])), ["labels are 0 to 3", "classes 0 to 2"]),
        (lambda: DDPM(**TINY).sample(torch.tensor([-1])), ["labels are -1 to -1", "classes 0 to 2"]),
        (lambda: DDPM(**TINY).sample(torch.tensor([0.5])), ["torch.float32 of shape (1,)"]),
        (lambda: DDPM(**TINY).sample(torch.tensor(1)), ["torch.int64 of shape ()"]),
        (lambda: DDPM(**TINY).sample([0, 1], generator=generators(0, [0])), ["1 generators for 2 samples"]),
        (
            lambda: DDPM(**TINY, guidance_interval=(0, 1000)),
            ["guidance_interval=(0, 1000)", "num_train_timesteps=1000"],
        ),
        (lambda: DDPM(**TINY, guidance_interval=(5, 4)), ["guidance_interval=(5, 4)"]),
        (lambda: DDPM(**TINY, min_snr_gamma=0), ["min_snr_gamma=0"]),
        (
            lambda: DDPM(**TINY, condition_dropout=0.0),
            ["condition_dropout=0", "guidance_scale=2.0", "set guidance_scale to 1"],
        ),
        (
            lambda: DDPM(**TINY, condition_dropout=0.0, guidance_scale=1).sample([0], guidance_scale=3),
            ["condition_dropout=0", "guidance_scale=3"],
        ),
        (lambda: DDPM(**TINY, num_train_timesteps=0), ["num_train_timesteps=0"]),
        (
            lambda: DDPM(**TINY | {"num_train_timesteps": 1, "sampling_steps": 1}, noise_schedule=LinearSchedule()),
            ["num_train_timesteps=1", "leaves 0.9"],
        ),
        (lambda: DDPM(**TINY, num_samples=0), ["num_samples=0"]),
        (
            lambda: DDPM(**TINY, noise_schedule=FlowMatchingSchedule(), prediction_type=Epsilon()),
            ["Epsilon says nothing about x_0", "take FlowPrediction"],
        ),
        (
            lambda: DDPM(**TINY).predict_step({"image": images()["image"], "file": ["a"]}, 0),
            ["--data.images"],
        ),
        (lambda: DDPM(**TINY).loss(torch.zeros(2, 3, 8, 8).byte(), torch.arange(2)), ["[1, 8, 8]", "[3, 8, 8]"]),
        (lambda: fit(DDPM(**TINY | {"num_classes": 4}), 1), ["num_classes=4", "3 classes"]),
        (lambda: fit(DDPM(**TINY | {"shape": [3, 8, 8]}), 1), ["[3, 8, 8]", "[1, 8, 8]"]),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  its words are checked below
        call()
    assert all(word in str(caught.value) for word in words), caught.value


def test_no_labels_are_no_images(model):
    assert model.sample(torch.tensor([], dtype=torch.long)).shape == (0, 1, 8, 8)
