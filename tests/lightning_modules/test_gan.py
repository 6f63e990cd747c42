import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision
from safetensors.torch import save_file

from adversarial.diff_augment import Brightness, Contrast, Cutout, Saturation, Translation
from adversarial.objectives import GANObjective, Hinge, Minimax, NonSaturating, Relativistic
from callbacks.resume.random_state import RandomState
from checkpoints.pretrained import inference_weights, load_weights
from datamodules.class_labels import ClassLabels
from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from diffusion.noise import generators
from lightning_modules.gan import GAN
from networks.dcgan import Discriminator, Generator
from networks.image_range import from_pixels, to_pixels
from optim.lr_schedule import Constant, WarmupCosine

SHAPE = [3, 8, 8]
ADAM = partial(torch.optim.Adam, betas=(0.0, 0.99))
TINY = {
    "shape": SHAPE,
    "num_classes": 3,
    "generator": partial(Generator, latent=6, width=4),
    "discriminator": partial(Discriminator, width=4),
    "generator_lr": 0.01,
    "discriminator_lr": 0.01,
    "generator_optimizer": ADAM,
    "discriminator_optimizer": ADAM,
}
WITH_BATCH_NORM = {"discriminator": partial(Discriminator, width=4, batch_norm=True)}
ALL = [Brightness(), Saturation(), Contrast(), Translation(), Cutout()]


class Noise(PublishedImages):
    """Random images with random labels, in memory: 7 batches."""

    shape = tuple(SHAPE)
    class_names = ("cat", "dog", "fox")

    def __init__(self, n=56):
        super().__init__("memory", batch_size=8)
        images = torch.randint(256, (n, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        self.train_set = self.test_set = ImageSet(images, torch.arange(n) % 3)
        self.val_set = self.train_set.subset(torch.arange(8))


def trainer(**options):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**quiet | {"accelerator": "cpu", "num_sanity_val_steps": 0} | options)


def fitted(module, seed=0, **options):
    L.seed_everything(seed, verbose=False)
    runner = trainer(**{"max_steps": 8} | options)
    runner.fit(module, Noise())
    return runner


def gan(seed=0, **options):
    torch.manual_seed(seed)
    return GAN(**TINY | options)


def weights(network):
    return [p.detach().clone() for p in network.parameters()]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Steps(L.Callback):
    """What each network looks like before and after each optimizer step."""

    def __init__(self):
        self.notes = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        ours = {id(p) for group in optimizer.param_groups for p in group["params"]}
        whose = "generator" if id(next(module.generator.parameters())) in ours else "discriminator"
        other = "discriminator" if whose == "generator" else "generator"
        grads = [p.grad for p in getattr(module, other).parameters()]
        own = [p.grad for p in getattr(module, whose).parameters()]
        self.notes.append(
            {
                "whose": whose,
                "other": other,
                "foreign": [g for g in grads if g is not None],
                "complete": all(g is not None and g.isfinite().all() for g in own),
                "norm": torch.stack([g.norm() for g in own]).norm().item(),
                "other weights": weights(getattr(module, other)),
            }
        )


@pytest.mark.parametrize("options", [{}, {"objective": Minimax(), "penalty": 0, **WITH_BATCH_NORM}])
def test_no_step_leaves_a_trace_in_the_other_network(options):
    """Neither gradients nor weights; in the module's own training, all other weights frozen in between, bit for bit."""
    module, watch = gan(**options), Steps()
    start = {"generator": weights(module.generator), "discriminator": weights(module.discriminator)}
    fitted(module, max_steps=2, callbacks=[watch])
    first, second = watch.notes
    assert (first["whose"], second["whose"]) == ("discriminator", "generator")
    assert not first["foreign"]
    assert not second["foreign"]
    assert first["complete"]
    assert second["complete"]
    assert equal(first["other weights"], start["generator"])
    assert not equal(second["other weights"], start["discriminator"])  # stepped already
    assert equal(second["other weights"], weights(module.discriminator))  # and not once more
    assert not equal(start["generator"], weights(module.generator))
    assert all(p.requires_grad for p in [*module.generator.parameters(), *module.discriminator.parameters()])


def test_the_discriminator_s_loss_gives_the_generator_no_gradient():
    module = gan()
    module.log = module.log_dict = lambda *args, **options: None
    labels = torch.arange(8) % 3
    fake = module.generator(module.latents(8), labels)
    module.discriminator_loss(torch.rand(8, *SHAPE), fake, labels).backward()
    assert all(p.grad is None for p in module.generator.parameters())
    assert all(p.grad is not None for p in module.discriminator.parameters())


@pytest.mark.parametrize("objective", [Minimax, NonSaturating])
def test_a_batch_is_two_steps_of_the_textbook(objective):
    """Goodfellow et al. 2014, Algorithm 1, with log and sigmoid as they stand there, in plain PyTorch.

    The generator's step is taken by a fresh pass, through the discriminator that has just been changed.
    """
    module = gan(objective=objective(), penalty=0.0, ema=0.0)
    generator, discriminator = gan().generator.train(), gan().discriminator
    optimizers = [torch.optim.Adam(net.parameters(), 0.01, betas=(0.0, 0.99)) for net in (generator, discriminator)]
    data, noises, batches = Noise(), [], []
    module.latents = lambda count, generator=None: noises.append(torch.randn(count, 6)) or noises[-1]

    class Shown(L.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            batches.append(batch)

    L.seed_everything(0, verbose=False)
    trainer(max_steps=6, callbacks=[Shown()]).fit(module, data)
    for batch, z in zip(batches, noises, strict=True):
        x, y = batch["image"] / 127.5 - 1, batch["label"]
        d_real, d_fake = discriminator(x, y).sigmoid(), discriminator(generator(z, y).detach(), y).sigmoid()
        optimizers[1].zero_grad()
        (-(d_real.log().mean() + (1 - d_fake).log().mean())).backward()
        optimizers[1].step()
        running = [buffer.clone() for buffer in generator.buffers()]
        d_fake = discriminator(generator(z, y), y).sigmoid()
        loss = (1 - d_fake).log().mean() if objective is Minimax else -d_fake.log().mean()
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        for buffer, value in zip(generator.buffers(), running, strict=True):
            buffer.copy_(value)  # one pass in training, two here
    for ours, theirs in [(module.generator, generator), (module.discriminator, discriminator)]:
        for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def test_the_penalty_is_that_of_both_kinds_of_images():
    """gamma / 2 (R1 + R2), added to the objective, from gradients by finite differences."""
    module = gan(penalty=0.8).double()
    logged = {}
    module.log = lambda name, value, **options: logged.update({name: value})
    module.log_dict = lambda values, **options: logged.update(values)
    labels = torch.arange(4) % 3
    real, fake = torch.rand(2, 4, *SHAPE).double() * 2 - 1

    def slope(images):
        grads = torch.zeros_like(images)
        for place in range(images[0].numel()):
            moved = torch.zeros_like(images).flatten(1)
            moved[:, place] = 1e-4
            moved = moved.view_as(images).float()
            up, down = (module.discriminator(images.float() + s * moved, labels) for s in (1, -1))
            grads.view(4, -1)[:, place] = (up - down) / 2e-4
        return grads.square().sum((1, 2, 3)).mean()

    module.float()  # images reach the network in single precision
    loss = module.discriminator_loss(real.float(), fake.float(), labels)
    r1, r2 = slope(real), slope(fake)
    assert logged["train/r1"].item() == pytest.approx(r1.item(), rel=0.02)
    assert logged["train/r2"].item() == pytest.approx(r2.item(), rel=0.02)
    plain = F.softplus(module.discriminator(fake.float(), labels) - module.discriminator(real.float(), labels)).mean()
    assert loss.item() == pytest.approx((plain + 0.4 * (r1 + r2)).item(), rel=0.02)


@pytest.mark.parametrize("objective", [Minimax, NonSaturating, Hinge, Relativistic])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_trains_in_every_precision(objective, precision):
    """With everything on: all weights move and stay finite, and keep their type."""
    module = gan(objective=objective(), diff_augment=ALL, penalty=0.1, generator_clip=1.0, discriminator_clip=1.0)
    start = weights(module)
    fitted(module, precision=precision)
    for before, after in zip(start, weights(module), strict=True):
        assert after.dtype == torch.float32
        assert after.isfinite().all()
        assert before.ndim < 2 or not torch.equal(before, after)  # only differences of logits may count, not a bias


class Gradients(L.Callback):
    """Norms of gradients as the optimizer gets them, and those that were there before clipping."""

    def __init__(self):
        self.before, self.after = [], []

    def on_train_start(self, trainer, module):
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda stepped, *_: self.after.append(self._norm(stepped)))

    def on_before_optimizer_step(self, trainer, module, optimizer):  # callbacks come before the module's own hook
        self.before.append(self._norm(optimizer))

    @staticmethod
    def _norm(optimizer):
        return torch.stack([p.grad.norm() for group in optimizer.param_groups for p in group["params"]]).norm().item()


@pytest.mark.parametrize("scale", [None, 2.0**12])
def test_each_network_is_clipped_by_itself_and_unscaled(scale):
    """Gradients are the same whether or not losses were scaled for half precision, and so is what is left of them."""

    def run(**options):
        plugin = None
        if scale is not None:
            plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))
            plugin.autocast_context_manager = lambda: torch.autocast("cpu", enabled=False)
        module, watch = gan(**options), Gradients()
        L.seed_everything(0, verbose=False)
        trainer(max_steps=2, callbacks=[watch], plugins=plugin).fit(module, Noise())
        return watch

    free = run()
    assert free.before == pytest.approx(free.after)
    discriminator, generator = free.before
    clipped = run(generator_clip=generator / 10, discriminator_clip=discriminator / 4)
    assert clipped.before[0] == pytest.approx(discriminator, rel=1e-3)
    assert clipped.after[0] == pytest.approx(discriminator / 4, rel=1e-3)
    assert clipped.after[1] == pytest.approx(generator / 10, rel=1e-3)
    plain = gan()
    fitted(plain, max_steps=2, callbacks=[reference := Gradients()])
    assert free.before == pytest.approx(reference.before, rel=1e-3)  # not 4096 times as large


def test_learning_rates_and_schedules_of_their_own(tmp_path):
    schedule = WarmupCosine(0.25, final=0.1)
    module = gan(generator_lr=0.02, generator_lr_schedule=schedule, discriminator_lr=0.04, discriminator_steps=2)
    logger = CSVLogger(tmp_path)
    runner = fitted(
        module, max_epochs=4, max_steps=-1, logger=logger, log_every_n_steps=1, callbacks=[LearningRateMonitor()]
    )
    rates = {name: [float(x) for x in read(logger, f"lr/{name}/pg1")] for name in ("generator", "discriminator")}
    assert rates["discriminator"] == pytest.approx([0.04] * 28)
    total = 4 * 3  # of 7 batches in an epoch, three move the generator
    generator = [group["lr"] for group in runner.optimizers[0].param_groups]
    schedule = runner.lr_scheduler_configs[0].scheduler
    assert schedule.last_epoch == total
    assert generator[0] == pytest.approx(0.02 * expected(total, 14, 0.25, 0.1))
    assert max(rates["generator"]) == pytest.approx(0.02, rel=0.1)
    assert rates["generator"][0] == pytest.approx(0.02 * expected(0, 14, 0.25, 0.1))
    assert rates["generator"][-1] < 0.006


def expected(step, total, warmup, final):
    rise = warmup * total
    if step < rise:
        return (step + 1) / (rise + 1)
    return final + (1 - final) * (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2


@pytest.mark.parametrize("discriminator_steps", [1, 2])
def test_a_resumed_run_takes_the_rates_that_are_asked_for_now(tmp_path, discriminator_steps):
    """Each network's own, where it is on its own schedule; and other options of its optimizer."""
    options = {"discriminator_steps": discriminator_steps, "generator_lr_schedule": WarmupCosine(0.0, final=0.5)}
    fitted(gan(**options), max_epochs=1, max_steps=-1).save_checkpoint(tmp_path / "last.ckpt")
    given = {"generator_lr": 0.05, "discriminator_optimizer": partial(torch.optim.Adam, betas=(0.5, 0.75))}
    seen = []

    class Note(L.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            seen.append([(o.param_groups[0]["lr"], o.param_groups[0]["betas"]) for o in trainer.optimizers])

    module = gan(**options | given)
    runner = trainer(max_epochs=2, callbacks=[Note()])
    runner.fit(module, Noise(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    (rate, betas), (other_rate, other_betas) = seen[0]
    made, total = 7 // discriminator_steps, 14 / discriminator_steps
    assert rate == pytest.approx(0.05 * expected(made, total, 0.0, 0.5))
    assert betas == (0.0, 0.99)
    assert other_rate == 0.01
    assert other_betas == (0.5, 0.75)


def read(logger, name):
    logger.save()
    lines = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index(name)
    return [value for line in lines[1:] if (value := line.split(",")[column])]


@pytest.mark.parametrize(("steps", "counted"), [(1, 14), (2, 10), (3, 9)])
def test_global_step_counts_optimizer_steps(steps, counted, tmp_path):
    """A batch: one of the discriminator; every n-th batch, one of the generator. Logging counts batches."""
    logger, watch = CSVLogger(tmp_path), Steps()
    module = gan(discriminator_steps=steps)
    runner = fitted(module, max_epochs=1, max_steps=-1, callbacks=[watch], logger=logger, log_every_n_steps=2)
    assert runner.global_step == counted == len(watch.notes)
    whose = [note["whose"] for note in watch.notes]
    assert whose.count("discriminator") == 7
    assert whose[: steps + 2] == ["discriminator"] * steps + ["generator", "discriminator"]
    assert len(read(logger, "train/discriminator_loss")) == 3  # after batches 2, 4 and 6
    assert module.averaged.n_averaged == 7 // steps


def test_max_steps_and_checkpoint_intervals_count_the_same_steps(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=4)
    runner = fitted(gan(), max_steps=12, callbacks=[keep], enable_checkpointing=True)
    assert runner.global_step == 12
    assert runner.fit_loop.total_batch_idx + 1 == 6
    assert {path.name for path in tmp_path.iterdir()} == {"step=4.ckpt", "step=8.ckpt", "step=12.ckpt"}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_twenty_steps_are_ten_and_ten_more(tmp_path, precision):
    """Bit for bit, within an epoch: networks, average, both optimizers and schedules, and what is drawn."""
    schedules = {
        "generator_lr_schedule": WarmupCosine(0.2),
        "discriminator_lr_schedule": WarmupCosine(0.2, final=0.1),
    }
    options = {"diff_augment": ALL, **schedules}

    def run(folder, seed, resume=None):
        keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=10)
        module = gan(seed, **options)
        L.seed_everything(seed, verbose=False)
        settings = {"precision": precision, "enable_checkpointing": True, "max_steps": 20}
        trainer(callbacks=[RandomState(), keep], **settings).fit(module, Noise(), ckpt_path=resume, weights_only=True)
        return torch.load(folder / "step=20.ckpt", weights_only=True)

    whole = run(tmp_path / "whole", 0)
    resumed = run(tmp_path / "resumed", 1, tmp_path / "whole" / "step=10.ckpt")
    assert not (tmp_path / "resumed" / "step=10.ckpt").exists()
    half = torch.load(tmp_path / "whole" / "step=10.ckpt", weights_only=True)
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(whole[part], resumed[part]), part
        assert not same(whole[part], half[part]), part
    assert any(name.startswith("averaged.") for name in whole["state_dict"])
    assert len(whole["optimizer_states"]) == len(whole["lr_schedulers"]) == 2
    (one,), (other,) = ([v for k, v in c["callbacks"].items() if "RandomState" in k] for c in (whole, resumed))
    assert same(one, other)


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_the_average_is_that_of_the_generator_s_weights():
    module, history = gan(ema=0.75), []

    class Note(L.Callback):
        def on_train_batch_end(self, trainer, module, *args):
            history.append(weights(module.generator))

    fitted(module, max_steps=80, max_epochs=-1, callbacks=[Note()])
    average = history[0]
    for count, current in enumerate(history[1:], 1):
        decay = (1 + count) / (10 + count) if count < 26 else 0.75  # 27 / 36 = 0.75
        average = [decay * a + (1 - decay) * c for a, c in zip(average, current, strict=True)]
    for own, expected in zip(module.averaged.module.parameters(), average, strict=True):
        torch.testing.assert_close(own.detach(), expected)
    assert equal(module.averaged.module.buffers(), module.generator.buffers())
    plain = gan(ema=0.0)
    fitted(plain, max_steps=4)
    assert equal(weights(plain.averaged), weights(plain.generator))


def test_samples_are_images_of_the_average():
    module = gan()
    fitted(module, max_steps=4)
    labels = torch.tensor([0, 1, 2, 2])
    images = module.sample(labels, generator=torch.Generator().manual_seed(3))
    assert images.shape == (4, *SHAPE)
    assert images.dtype == torch.uint8
    assert torch.equal(images, module.sample(labels, generator=torch.Generator().manual_seed(3)))
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    assert torch.equal(images, module.sample(labels, latents=z))
    direct = module.averaged.module.eval()(z, labels)
    assert torch.equal(images, ((direct + 1) * 127.5).round().byte())
    module.train()  # samples while training: no image depends on the others, nothing is learned from them
    running = [buffer.clone() for buffer in module.averaged.buffers()]
    assert torch.equal(module.sample(labels[:1], latents=z[:1]), images[:1])
    assert equal(running, module.averaged.buffers())
    assert module.generator.training


def test_published_weights_draw_the_same(tmp_path):
    """As `benchmarks.publish` writes them, the averaged ones in half precision: up to a few grey levels."""
    module = gan()
    fitted(module, max_steps=4)
    halved = {k: v.half() if v.is_floating_point() else v for k, v in inference_weights(module).items()}
    assert sum(map(torch.numel, halved.values())) < 2 * sum(map(torch.numel, module.generator.parameters()))
    save_file({k: v.contiguous() for k, v in halved.items()}, tmp_path / "model.safetensors")
    loaded = gan(seed=1)
    load_weights(loaded, tmp_path / "model.safetensors")
    z, labels = torch.randn(9, 6), torch.arange(9) % 3
    images = [model.sample(labels, latents=z).int() for model in (module, loaded)]
    assert (images[0] - images[1]).abs().max() <= 2
    assert loaded.averaged.n_averaged == 2


def test_training_goes_on_from_whole_weights_only(tmp_path):
    module, path = gan(), tmp_path / "model.safetensors"
    shipped = inference_weights(module)
    save_file(shipped, path)
    with pytest.raises(ValueError, match=r"testing and drawing alone.*name a checkpoint"):
        load_weights(gan(seed=1), path, training=True)
    shipped.pop("averaged.n_averaged")
    save_file(shipped, path)
    with pytest.raises(ValueError, match="do not fit GAN as configured"):
        load_weights(gan(seed=1), path)
    save_file(module.state_dict(), path)
    loaded = gan(seed=1)
    load_weights(loaded, path, training=True)
    assert equal(weights(loaded), weights(module))


def test_every_grey_level_comes_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(from_pixels(levels)), levels)
    assert to_pixels(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"class_conditional": False}])
def test_without_classes_labels_do_not_matter(options):
    module = gan(**options)
    fitted(module, max_steps=2)
    z = torch.randn(3, 6)
    assert torch.equal(module.sample(torch.zeros(3).long(), latents=z), module.sample(torch.ones(3).long(), latents=z))
    assert all(part.classes is None for part in (module.generator, module.discriminator))
    assert module.hparams.num_classes == 0


def test_learns_which_class_is_bright():
    """Two classes, black and white: after 300 batches each class gets its own colour."""
    torch.manual_seed(0)
    data = Noise(64)
    data.class_names = ("black", "white")
    data.train_set.labels = torch.arange(64) % 2
    data.train_set.images = torch.where(data.train_set.labels == 1, 230, 25)[:, None, None, None].repeat(1, 3, 8, 8)
    data.train_set.images = (data.train_set.images + torch.randint(-20, 21, data.train_set.images.shape)).byte()
    module = gan(num_classes=2, ema=0.9, generator_lr=2e-3, discriminator_lr=2e-3)
    trainer(max_steps=600, max_epochs=-1, limit_val_batches=0).fit(module, data)
    images = module.sample(torch.arange(40) % 2).float().mean((1, 2, 3))
    assert images[0::2].mean() < 80
    assert images[1::2].mean() > 175


def test_held_out_images_are_judged():
    module = gan()
    runner = fitted(module, max_steps=14, max_epochs=1)
    batch = Noise().val_set.__getitems__(list(range(8)))
    expected = module.discriminator(batch["image"] / 127.5 - 1, batch["label"]).mean().item()
    assert runner.callback_metrics["val/real_logit"].item() == pytest.approx(expected, rel=1e-4)


def test_a_checkpoint_opens_in_a_new_process(tmp_path):
    """Networks that are no default are given again: a checkpoint holds plain values."""
    module = gan(diff_augment=[Translation()])
    fitted(module, max_steps=2).save_checkpoint(tmp_path / "last.ckpt")
    assert set(torch.load(tmp_path / "last.ckpt", weights_only=True)["hyper_parameters"]) == set(module.hparams)
    code = (
        "import torch\n"
        "from functools import partial\n"
        "from lightning_modules.gan import GAN\n"
        "from networks.dcgan import Discriminator, Generator\n"
        "networks = {'generator': partial(Generator, latent=6, width=4)}\n"
        "networks['discriminator'] = partial(Discriminator, width=4)\n"
        f"module = GAN.load_from_checkpoint({str(tmp_path / 'last.ckpt')!r}, weights_only=True, **networks)\n"
        "images = module.eval().sample(torch.tensor([0, 2]), torch.Generator().manual_seed(0))\n"
        "print(tuple(images.shape), images.sum().item())"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=root, capture_output=True, text=True)
    total = module.sample(torch.tensor([0, 2]), torch.Generator().manual_seed(0)).sum().item()
    assert done.stdout.strip() == f"(2, 3, 8, 8) {total}", done.stderr


class Flat(torch.nn.Module):
    """A generator of its own making: a linear map."""

    def __init__(self, shape, classes=0, latent=5):
        super().__init__()
        self.latent, self.shape = latent, shape
        self.map = torch.nn.Linear(latent, math.prod(shape))

    def forward(self, latents, classes):
        return self.map(latents).tanh().unflatten(1, self.shape)


class Judge(torch.nn.Module):
    """A discriminator of its own making; `extra` more axes than it should have."""

    def __init__(self, extra=0):
        super().__init__()
        self.extra, self.map = extra, torch.nn.Linear(math.prod(SHAPE), 1)

    def forward(self, images, classes):
        logits = self.map(images.flatten(1))
        return logits if self.extra else logits[:, 0]


class LeastSquares(GANObjective):
    """Mao et al. 2017, Eq. 2."""

    def discriminator_loss(self, real, fake):
        return (real - 1).square().mean() + fake.square().mean()

    def generator_loss(self, real, fake):
        return (fake - 1).square().mean()


def test_networks_objective_optimizers_and_schedules_of_ones_own():
    module = gan(
        generator=lambda shape, classes: Flat(shape),
        discriminator=lambda shape, classes: Judge(),
        objective=LeastSquares(),
        diff_augment=[lambda images: -images],
        generator_optimizer=torch.optim.SGD,
        discriminator_optimizer=partial(torch.optim.RMSprop, alpha=0.5),
        generator_lr_schedule=partial(torch.optim.lr_scheduler.StepLR, step_size=2),
        discriminator_lr_schedule=lambda step, total: 1 / total,
    )
    runner = fitted(module, max_steps=6)
    assert [type(optimizer).__name__ for optimizer in runner.optimizers] == ["SGD", "RMSprop"]
    assert [optimizer.param_groups[0]["lr"] for optimizer in runner.optimizers] == pytest.approx([0.001, 0.01 / 3])
    assert module.sample([0, 1]).shape == (2, *SHAPE)
    assert module.latents(4).shape == (4, 5)


def test_defaults_are_the_networks_of_a_dcgan_at_constant_rates():
    module = GAN()
    assert isinstance(module.generator, Generator)
    assert isinstance(module.discriminator, Discriminator)
    assert isinstance(module.objective, Relativistic)
    assert all(isinstance(schedule, Constant) for schedule in module.lr_schedules)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (WITH_BATCH_NORM | {"shape": [3, 16, 16]}, "penalty=0.05 with batch norm in the discriminator"),
        ({"discriminator_steps": 0}, "discriminator_steps=0"),
        ({"ema": 1}, "ema=1"),
        (
            {"objective": "wasserstein"},
            r"objective='wasserstein' must be an object such as adversarial\.objectives\.Hin",
        ),
        ({"diff_augment": ["blur"]}, r"diff_augment: 'blur' must be an object such as adversarial\.diff_augment"),
        ({"generator": lambda shape, classes: torch.nn.Linear(2, 3)}, "Linear needs an attribute latent"),
        (
            {"generator": lambda shape, classes: Flat((3, 4, 4))},
            r"drew images of shape \[3, 4, 4\], its data are of \[3",
        ),
        ({"discriminator": lambda shape, classes: Judge(1)}, r"logits of shape \(8, 1\) for 8 images"),
        ({"shape": [3, 50, 50]}, "50 x 50"),
        ({"num_classes": 5}, "num_classes=5, its data 3 classes"),
        ({"shape": [3, 16, 16]}, r"shape=\[3, 16, 16\], its data \[3, 8, 8\]"),
        ({"num_samples": 0}, "num_samples=0"),
        ({"generator": partial(Generator, latent=0)}, "latent=0"),
        ({"penalty": -1}, "penalty=-1"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        fitted(gan(**options))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda module: module.sample([3]), "labels are 3 to 3; the model knows classes 0 to 2"),
        (lambda module: module.sample([0, 1], latents=torch.zeros(1, 6)), r"latents of shape \(1, 6\) for 2 labels"),
        (lambda module: module.sample([0], latents=torch.zeros(1, 5)), r"give \(1, 6\)"),
        (lambda module: module.predict_step({"image": None, "file": ["a"]}, 0), r"no --data\.images"),
        (
            lambda module: module.training_step({"image": torch.zeros(2, 1, 8, 8).byte(), "label": torch.arange(2)}, 0),
            r"shape=\[3, 8, 8\], its data \[1, 8, 8\]",
        ),
    ],
)
def test_mistakes_in_use_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(gan())


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    module, labels = gan(), torch.tensor([0, 1, 2])
    whole = module.sample(labels, generators(4, range(3))).int()
    for numbers in ([0, 1], [2], [2, 0]):
        drawn = module.sample(labels[numbers], generators(4, numbers)).int()
        assert (drawn - whole[numbers]).abs().max() <= 1
    assert torch.equal(module.latents(2, generators(4, [2, 0])), module.latents(3, generators(4, range(3)))[[2, 0]])


def test_predict_draws_the_same_in_batches_of_any_size():
    module = gan()

    def drawn(size):
        return torch.cat(trainer().predict(module, ClassLabels(("cat", "dog", "fox"), 5, size))).int()

    L.seed_everything(3, verbose=False)
    whole = drawn(5)
    for size in (1, 2, 100):
        assert (drawn(size) - whole).abs().max() <= 1
    assert torch.equal(whole, module.sample([0, 1, 2, 0, 1], generators(3, range(5))).int())
