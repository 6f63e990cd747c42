"""Every LightningModule, tiny, with data for it: for the tests that hold for all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader
from torchmetrics.text import CharErrorRate

from adversarial.diff_augment import Brightness
from adversarial.objectives import Hinge
from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from decoding.generation_config import GenerationConfig
from diffusion.distillation import Distillation
from diffusion.noise_schedule import CosineSchedule
from diffusion.prediction_type import Sample
from diffusion.samplers import DDIMSampler, DPMSolver
from diffusion.thresholding import NoThresholding, StaticThresholding
from diffusion.timestep_distribution import LogitNormal
from envs import t_block
from lightning_modules.classifier import Classifier
from lightning_modules.cnn_classifier import CNNClassifier
from lightning_modules.ddpm import DDPM
from lightning_modules.diffusion_policy import DiffusionPolicy
from lightning_modules.fast_cnn_classifier import FastCNNClassifier
from lightning_modules.gan import GAN
from lightning_modules.language_model import LanguageModel
from lightning_modules.mlp_classifier import MLPClassifier
from lightning_modules.self_supervised import SelfSupervised
from lightning_modules.seq2seq import Seq2Seq
from lightning_modules.sequence_model import SequenceModel
from lightning_modules.sequence_tagger import SequenceTagger
from networks.chunk_mlp import ChunkMLP
from networks.chunk_unet import ChunkUNet
from networks.cnn import ResNet
from networks.dcgan import Discriminator, Generator
from networks.mlp import MLP
from networks.normalized_features import NormalizedFeatures
from networks.nt_xent import NTXent
from networks.positions import RotaryPositions
from networks.pusht_features import PushTFeatures
from networks.transformer import AnswerDecoder, Encoder, EncoderDecoder
from networks.unet2d import UNet2D
from networks.vocabulary import SPECIAL
from optim.lr_schedule import Constant, WarmupCosine
from optim.progressive_resizing import ProgressiveResizing
from optim.selection_via_proxy import SelectionViaProxy

SHAPE = [3, 16, 16]


class Images(PublishedImages):
    """Random images in memory, those of seed 1 brighter: 3 batches of 8."""

    shape = tuple(SHAPE)
    class_names = ("cat", "dog", "fox")

    def __init__(self, seed: int = 0):
        super().__init__("memory", batch_size=8)
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(100 * seed, 156 + 100 * seed, (24, *self.shape), generator=generator).byte()
        self.train_set = self.val_set = self.test_set = ImageSet(images, torch.arange(24) % 3)


class LargerImages(Images):
    shape = (3, 20, 20)


class Rows(L.LightningDataModule):
    """Batches of 8 of the given rows, in their order."""

    def __init__(self, batch: dict[str, torch.Tensor]):
        super().__init__()
        self.rows = [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=8)

    val_dataloader = predict_dataloader = train_dataloader


def sequences(seed: int = 0) -> Rows:
    """Sources of lengths 1 to 6 that are their own targets."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.arange(24) % 6 + 1
    mask = torch.arange(6) < lengths[:, None]
    source = torch.randint(SPECIAL, 12, (24, 6), generator=generator) * mask
    return Rows({"source": source, "source_mask": mask, "target": source, "target_mask": mask})


class BoldFeatures(PushTFeatures):
    """All features twice as large."""

    def forward(self, keypoints: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(keypoints)


class Demonstrations(Rows):
    """Rows of a policy, whose first ones are the shortest: row n is padded from its action n + 1 on."""

    def observation_statistics(self) -> None:
        """Push-T's features need none."""

    action_statistics = observation_statistics

    def action_scale(self, origin: Callable) -> torch.Tensor:
        """Root mean square of the actions that are no padding, relative to their origin: (T, 2)."""
        observation, action, is_pad = (
            torch.stack([row[name] for row in self.rows]) for name in ("observation", "action", "action_is_pad")
        )
        squares = (action - origin(observation)).square() * ~is_pad[..., None]
        return (squares.sum(0) / (~is_pad).sum(0)[:, None]).sqrt()


def demonstrations(seed: int = 0) -> Demonstrations:
    generator = torch.Generator().manual_seed(seed)
    pose = torch.rand(24, 3, generator=generator) * torch.tensor([200.0, 200, 6]) + torch.tensor([150.0, 150, 0])
    corners = torch.from_numpy(t_block.corners(pose.numpy())).float().flatten(1)
    observation = torch.cat([torch.rand(24, 2, generator=generator) * 400 + 50, corners], 1)[:, None].repeat(1, 2, 1)
    steps = (10 + 30 * seed) * torch.randn(24, 16, 2, generator=generator)
    action = observation[:, -1:, :2] + steps.cumsum(1)
    is_pad = torch.arange(16) >= torch.arange(24)[:, None] + 1
    return Demonstrations({"observation": observation, "action": action, "action_is_pad": is_pad})


@dataclass
class Kind:
    """A class of modules.

    Args:
        build: the class.
        options: what makes it tiny.
        data: a datamodule of a seed.
        changes: for each argument another value of it, and, where it has no effect alone, other arguments beside it.
    """

    build: Callable[..., L.LightningModule]
    options: dict[str, Any]
    data: Callable[[int], L.LightningDataModule]
    changes: dict[str, Any] = field(default_factory=dict)

    def made(self, **options) -> L.LightningModule:
        torch.manual_seed(0)
        return self.build(**self.options | options)


CLASSIFIER = {
    "shape": [1, 24, 24],
    "num_classes": 4,
    "mean": ([0.9] * 3, {"mean": [0.1] * 3, "std": [1.0] * 3}),
    "std": ([0.2] * 3, {"mean": [0.1] * 3, "std": [1.0] * 3}),
    "label_smoothing": 0.3,
    "loss": torch.nn.MultiMarginLoss(),
    "lr": 0.02,
    "optimizer": torch.optim.RAdam,
    "lr_schedule": WarmupCosine(0.6),
    "tta_flip": True,
    "tta_shift": 1,
}
PARTS = {"progressive_resizing": ProgressiveResizing(10, 0.9), "selection": SelectionViaProxy(MLP, 0.5)}
TINY_NETWORK = {"width": 16, "depth": 1, "heads": 2, "max_length": 32}


def sequence_model(build: type[SequenceModel], network: type) -> Kind:
    """With a network of this class."""
    changes = {
        "vocab_size": 13,
        "network": partial(network, **TINY_NETWORK, positions=RotaryPositions),
        "lr": 0.1,
        "optimizer": torch.optim.SGD,
        "lr_schedule": Constant(),
    }
    if build is not SequenceTagger:
        changes |= {
            "generation_config": GenerationConfig(max_new_tokens=1),
            "text_metrics": {"character_error_rate": CharErrorRate()},
        }
    return Kind(build, {"vocab_size": 12, "network": partial(network, **TINY_NETWORK)}, sequences, changes)


KINDS = {
    "mlp": Kind(
        MLPClassifier,
        {"shape": SHAPE, "num_classes": 3, "hidden": [16]},
        Images,
        CLASSIFIER | {"selection": SelectionViaProxy(MLP, 0.5), "hidden": [8], "dropout": 0.5, "batch_norm": True},
    ),
    "classifier": Kind(
        Classifier,
        {"shape": SHAPE, "num_classes": 3, "network": partial(ResNet, widths=[8], blocks=1)},
        Images,
        CLASSIFIER | PARTS | {"network": MLP},
    ),
    "cnn": Kind(
        CNNClassifier,
        {"shape": SHAPE, "num_classes": 3, "widths": [8], "blocks": 1},
        Images,
        CLASSIFIER | PARTS | {"widths": [12], "blocks": 2},
    ),
    "fast_cnn": Kind(
        FastCNNClassifier,
        {
            "shape": [3, 20, 20],
            "num_classes": 3,
            "widths": [8, 8],
            "small_size": 18,
            "hard_share": 0.5,
            "proxy_widths": [8],
        },
        LargerImages,
        CLASSIFIER
        | {
            "widths": [12, 8],
            "depth": 1,
            "norm_momentum": 0.5,
            "small_size": 16,
            "small_share": 0.9,
            "hard_share": 0.25,
            "proxy_widths": [12],
        },
    ),
    "seq2seq": sequence_model(Seq2Seq, EncoderDecoder),
    "language_model": sequence_model(LanguageModel, AnswerDecoder),
    "tagger": sequence_model(SequenceTagger, Encoder),
    "gan": Kind(
        GAN,
        {
            "shape": SHAPE,
            "num_classes": 3,
            "generator": partial(Generator, latent=8, width=4),
            "discriminator": partial(Discriminator, width=4),
        },
        Images,
        {
            "shape": [1, 16, 16],
            "num_classes": 0,
            "class_conditional": False,
            "generator": partial(Generator, latent=6, width=4),
            "discriminator": partial(Discriminator, width=8),
            "objective": Hinge(),
            "penalty": 1.0,
            "diff_augment": [Brightness()],
            "discriminator_steps": 2,
            "generator_lr": 0.02,
            "discriminator_lr": 0.02,
            "generator_optimizer": partial(torch.optim.Adam, betas=(0.5, 0.9)),
            "discriminator_optimizer": partial(torch.optim.Adam, betas=(0.5, 0.9)),
            "generator_lr_schedule": WarmupCosine(),
            "discriminator_lr_schedule": WarmupCosine(),
            "generator_clip": 1e-3,
            "discriminator_clip": 1e-3,
            "ema": 0.05,
            "num_samples": 4,
        },
    ),
    "self_supervised": Kind(
        SelfSupervised,
        {"shape": SHAPE, "network": partial(ResNet, widths=[8], blocks=1), "hidden": 6, "dim": 4},
        Images,
        {
            "network": partial(ResNet, widths=[8], blocks=2),
            "shape": [1, 16, 16],
            "hidden": 7,
            "dim": 5,
            "augment": [Brightness()],
            "loss": NTXent(0.1),
            "lr": 0.02,
            "optimizer": torch.optim.SGD,
            "lr_schedule": WarmupCosine(0.6),
        },
    ),
    "ddpm": Kind(
        DDPM,
        {
            "network": partial(UNet2D, widths=[64], attention=0),
            "shape": SHAPE,
            "num_classes": 3,
            "sampling_steps": 3,
            "lr": 0.02,
        },
        Images,
        {
            "network": partial(UNet2D, widths=[128], attention=0),
            "shape": [1, 16, 16],
            "num_classes": 4,
            "noise_schedule": CosineSchedule(),
            "num_train_timesteps": 500,
            "prediction_type": Sample(),
            "timestep_distribution": LogitNormal(),
            "distillation": (Distillation("mnist_ddpm"), {"sampler": DDIMSampler()}),
            "min_snr_gamma": 1.0,
            "condition_dropout": 0.9,
            "guidance_scale": 9.0,
            "guidance_interval": ([0, 2], {}),
            "num_samples": 4,
            "thresholding": NoThresholding(),
            "sampler": DDIMSampler(),
            "sampling_steps": 2,
            "lr": 0.001,
            "optimizer": torch.optim.SGD,
            "lr_schedule": WarmupCosine(warmup=0.6),
        },
    ),
    "policy": Kind(
        DiffusionPolicy,
        {
            "network": partial(ChunkMLP, width=16, depth=1, encoder_width=16, encoder_depth=1),
            "features": PushTFeatures,
            "observation_shape": [18],
            "action_dim": 2,
            "sampling_steps": 3,
        },
        demonstrations,
        {
            "network": partial(ChunkUNet, widths=[8, 16]),
            "features": BoldFeatures,
            "observation_shape": ([17], {"features": NormalizedFeatures}),
            "action_dim": (3, {"features": NormalizedFeatures}),
            "n_obs_steps": 3,
            "horizon": 12,
            "n_action_steps": 4,
            "noise_schedule": CosineSchedule(),
            "num_train_timesteps": 50,
            "prediction_type": Sample(),
            "timestep_distribution": LogitNormal(),
            "distillation": Distillation("pusht"),
            "thresholding": StaticThresholding(),
            "sampler": DPMSolver(),
            "sampling_steps": 2,
            "temperature": 0.5,
            "noise_levels_per_sample": 2,
            "lr": 0.02,
            "optimizer": torch.optim.SGD,
            "lr_schedule": WarmupCosine(warmup=1),
        },
    ),
}


def trainer(**options) -> L.Trainer:
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    return L.Trainer(**quiet | {"accelerator": "cpu", "num_sanity_val_steps": 0, "max_epochs": 1} | options)


def answers(module: L.LightningModule, data: L.LightningDataModule) -> list[torch.Tensor]:
    """What the module is for, on the data: labels, sequences, images or actions."""
    torch.manual_seed(0)
    if isinstance(module, SequenceModel):
        batch = next(iter(data.train_dataloader()))
        return [module.eval().generate(batch["source"], batch["source_mask"], max_new_tokens=4)]
    given = trainer().predict(module, data.predict_dataloader())
    return [output["probability"] if isinstance(output, dict) else output for output in given]
