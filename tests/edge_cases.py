"""Small valid arguments for every public constructor and function that takes numbers, for `test_edges.py`.

A case names its arguments and, where it is cheap, what is done with the result: the numbers that come out are finite.
"""

import math
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import torchvision
from torch import Tensor, nn

import envs  # noqa: F401  (registers Push-T)
import numpy_core as nc
from datamodules.augmentation import HorizontalFlip
from datamodules.episodes import Episodes
from datamodules.tokenization import number_tokenizer
from decoding.decoding_state import DecodingState
from diffusion.noise_schedule import CosineSchedule
from diffusion.prediction_type import VPrediction
from diffusion.samplers import DPMSolver
from diffusion.scheduler import NoiseScheduler
from envs.action_chunking import ActionChunking, VectorActionChunking
from envs.disturbances import ActionDelay, BlockPush, Disturbance, KeypointNoise, PointerDamping
from envs.episode import Episode
from envs.pusht import PushT
from envs.pusht_vector import PushTVector
from envs.pusht_world import PushTWorld
from envs.world import World
from lightning_modules.ddpm import DDPM
from lightning_modules.diffusion_policy import DiffusionPolicy
from lightning_modules.gan import GAN
from lightning_modules.seq2seq import Seq2Seq
from networks.attention import AttentionContext
from networks.dcgan import Discriminator, Generator
from networks.mlp import MLP
from networks.transformer import AnswerDecoder, Decoder, EncoderDecoder
from networks.unet2d import UNet2D
from networks.vocabulary import Vocabulary
from optim.parameter_groups import no_decay_on_vectors
from optim.selection_via_proxy import SelectionViaProxy

PNG = torchvision.io.encode_png(torch.zeros(1, 4, 4, dtype=torch.uint8)).numpy().tobytes()


def nothing(made: Any, arguments: dict) -> None:
    """Built, and no more."""


def itself(made: Any, arguments: dict) -> Any:
    """What a function gave; of an iterator, its first items."""
    return list(islice(made, 3)) if isinstance(made, Iterator) else made


def first_observation(made: Any, arguments: dict) -> Any:
    """What environments show when their episodes begin."""
    observation, _ = made.reset(seed=0)
    made.close()
    return observation


@dataclass
class Case:
    """`arguments` are made anew for each call; `use` takes what the callable gave, and the arguments."""

    arguments: Callable[[], dict]
    use: Callable[[Any, dict], Any] = nothing


def build(**arguments) -> Case:
    return Case(lambda: dict(arguments))


def call(**arguments) -> Case:
    return Case(lambda: dict(arguments), itself)


def disturbed(wrapper: type[Disturbance], **arguments) -> Case:
    """A Push-T in a wrapper, stepped towards the middle."""

    def use(made: Disturbance, given: dict) -> Any:
        made.reset(seed=0)
        return [made.step(np.array([256.0, 256.0]))[0] for _ in range(3)]

    return Case(lambda: {"env": PushT("keypoints"), **arguments}, use)


def network(inputs: Callable[[dict], tuple], **arguments) -> Case:
    """A network in eval mode, on inputs that may depend on the arguments."""
    return Case(lambda: dict(arguments), lambda made, given: made.eval()(*inputs(given)))


def layer(
    shape: Callable[[dict], tuple[int, ...]], random: bool = False, dtype: type = np.float32, **arguments
) -> Case:
    """A layer of numpy_core, forward and backward, on an input of a shape that may depend on the arguments."""

    def use(made: nc.Module, given: dict) -> Any:
        y = made(np.zeros(shape(given), dtype))
        return y, made.backward(np.ones_like(y))

    return Case(lambda: arguments | ({"rng": np.random.default_rng(0)} if random else {}), use)


def optimizer(**arguments) -> Case:
    """One step of an optimizer of numpy_core."""

    def made_arguments() -> dict:
        parameter = nc.Parameter(np.ones(2))
        parameter.grad = np.ones(2)
        return {"parameters": [parameter]} | arguments

    def use(made: Any, given: dict) -> np.ndarray:
        made.step()
        return given["parameters"][0].value

    return Case(made_arguments, use)


def schedule(**arguments) -> Case:
    """The learning rate at the ends and past them."""
    return Case(lambda: dict(arguments), lambda made, _: [made(step) for step in (0, 1, 10, 1000)])


def trainer() -> dict:
    model = nc.two_layer_mlp(3, 4, 2, np.random.default_rng(0))
    optimizer = nc.SGD(model.parameters().values(), 0.1)
    return {"model": model, "optimizer": optimizer, "schedule": nc.constant(0.1), "rng": np.random.default_rng(0)}


def images(channels: int = 3, side: int = 8) -> Tensor:
    return torch.zeros(2, channels, side, side)


def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(12, 8, 1, 2, 16).eval()


def decoding_state() -> DecodingState:
    return DecodingState(decoder(), PROMPT, None, None, 4)


def positions() -> Case:
    return Case(lambda: {"width": 8, "heads": 2, "max_length": 16})


def demonstrations() -> Episodes:
    starts, ends = torch.tensor([0, 20]), torch.tensor([20, 40])
    return Episodes(torch.rand(40, 18), torch.rand(40, 2), starts, ends)


def augmentation(**arguments) -> Case:
    """On bytes, where NaN would be a wrong image: finite by its kind."""
    return Case(lambda: dict(arguments), lambda made, _: made(images().byte(), torch.arange(2), 0, generator()))


def diff_augmentation(**arguments) -> Case:
    return Case(lambda: dict(arguments), lambda made, _: made(images()))


def factors(**arguments) -> Case:
    """A learning-rate schedule at the first steps and the last, with an end and without."""
    return Case(lambda: dict(arguments), lambda made, _: [made(n, end) for n in (0, 3, 10) for end in (10, math.inf)])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


PROMPT = torch.tensor([[4, 5], [6, 7]])
SCHEDULER = NoiseScheduler(CosineSchedule()(10))
EPISODE = Episode(0, np.full((3, 2), 256.0), np.array([0.1, 0.2, 0.3]))
STATE = np.array([100.0, 100.0, 0, 0, 256.0, 256.0, 0.5, 0, 0, 0])
SMALL = {"shape": (1, 8, 8), "num_classes": 3}
TINY_GAN = {
    "shape": [3, 16, 16],
    "num_classes": 2,
    "generator": partial(Generator, latent=4, width=4),
    "discriminator": partial(Discriminator, width=4),
}
TINY_DDPM = {
    "network": partial(UNet2D, widths=(64,), attention=0),
    "shape": (1, 8, 8),
    "num_classes": 2,
    "num_train_timesteps": 100,
}
STEPS = torch.zeros(2, dtype=torch.long)
DATA = np.ones((2, 3), np.float32), np.array([0, 1])
DEMONSTRATIONS = demonstrations()

CASES: dict[str, Case] = {
    # numpy_core
    "numpy_core.activations.LeakyReLU": layer(lambda a: (2, 3), dtype=float, slope=0.1),
    "numpy_core.activations.Softmax": layer(lambda a: (2, 3), axis=-1),
    "numpy_core.attention.SelfAttention": layer(lambda a: (2, 3, a["features"]), True, features=4, heads=2),
    "numpy_core.autograd.Tensor": build(value=1.0),
    "numpy_core.batches.batches": call(count=5, batch_size=2),
    "numpy_core.convolution.Conv2d": layer(
        lambda a: (2, a["inputs"], 5, 6),
        True,
        inputs=4,
        outputs=6,
        kernel_size=(2, 3),
        stride=(1, 2),
        padding=(1, 0),
        dilation=1,
        groups=2,
    ),
    "numpy_core.dropout.Dropout": layer(lambda a: (2, 3), True, p=0.5),
    "numpy_core.embedding.Embedding": layer(lambda a: (2, 3), True, int, entries=4, features=3),
    "numpy_core.embedding.LearnedPositions": layer(lambda a: (2, 1, a["features"]), True, longest=5, features=4),
    "numpy_core.initializers.fans": call(shape=(2, 3)),
    **{
        f"numpy_core.initializers.{name}": Case(lambda: {"shape": (2, 3), "rng": rng()}, itself)
        for name in ("zeros", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal")
    },
    "numpy_core.linear.Linear": layer(lambda a: (2, a["inputs"]), True, inputs=3, outputs=2),
    "numpy_core.losses.softmax_cross_entropy": call(
        logits=np.zeros((2, 3)), targets=np.array([0, 1]), label_smoothing=0.1
    ),
    "numpy_core.models.softmax_regression": layer(lambda a: (2, a["inputs"]), True, inputs=3, classes=2),
    "numpy_core.models.two_layer_mlp": layer(
        lambda a: (2, a["inputs"]), True, inputs=3, hidden=4, classes=2, dropout=0.1
    ),
    "numpy_core.models.small_cnn": layer(
        lambda a: (2, *a["image"]), True, image=(1, 4, 4), classes=2, widths=(2, 3), dropout=0.1
    ),
    "numpy_core.normalization.BatchNorm1d": layer(lambda a: (3, a["channels"]), channels=2, momentum=0.1, epsilon=1e-5),
    "numpy_core.normalization.BatchNorm2d": layer(
        lambda a: (3, a["channels"], 2, 2), channels=2, momentum=0.1, epsilon=1e-5
    ),
    "numpy_core.normalization.LayerNorm": layer(lambda a: (3, a["features"]), features=2, epsilon=1e-5),
    "numpy_core.optimizers.SGD": optimizer(lr=0.1, momentum=0.5, weight_decay=0.1),
    "numpy_core.optimizers.Adam": optimizer(lr=0.1, betas=(0.9, 0.99), epsilon=1e-8, weight_decay=0.1),
    "numpy_core.optimizers.AdamW": optimizer(lr=0.1, betas=(0.9, 0.99), epsilon=1e-8, weight_decay=0.1),
    "numpy_core.optimizers.clip_gradients": Case(lambda: optimizer(max_norm=1.0).arguments(), itself),
    "numpy_core.pooling.MaxPool2d": layer(lambda a: (2, 1, 4, 4), kernel_size=2, stride=2, padding=1),
    "numpy_core.pooling.AvgPool2d": layer(lambda a: (2, 1, 4, 4), kernel_size=2, stride=2, padding=1),
    "numpy_core.windows.Windows": build(kernel_size=2, stride=1, padding=1, dilation=1),
    "numpy_core.progress.progress": call(items=[1, 2], total=2, label="epoch"),
    "numpy_core.schedules.constant": schedule(lr=0.1),
    "numpy_core.schedules.step_decay": schedule(lr=0.1, every=3, factor=0.5),
    "numpy_core.schedules.cosine": schedule(lr=0.1, steps=10, warmup=3, final=0.01),
    "numpy_core.trainer.Trainer": Case(
        lambda: trainer() | {"max_norm": 1.0}, lambda made, _: made.step(np.ones((2, 3), np.float32), np.array([0, 1]))
    ),
    "numpy_core.trainer.Trainer.fit": Case(
        lambda: {"self": nc.Trainer(**trainer()), "train": DATA, "val": DATA, "epochs": 1, "batch_size": 2}, itself
    ),
    "numpy_core.trainer.evaluate": Case(
        lambda: {
            "model": trainer()["model"],
            "x": np.ones((2, 3), np.float32),
            "y": np.array([0, 1]),
            "batch_size": 2,
        },
        itself,
    ),
    "numpy_core.trainer.predict": Case(
        lambda: {"model": trainer()["model"], "x": np.ones((2, 3), np.float32), "batch_size": 2}, itself
    ),
    # networks
    "networks.attention.SelfAttention": network(
        lambda a: (torch.zeros(2, 3, a["width"]), AttentionContext()), width=8, heads=2
    ),
    "networks.attention.CrossAttention": build(width=8, heads=2),
    "networks.folded_cnn.FoldedCNN": network(
        lambda a: (torch.zeros(2, *a["shape"], dtype=torch.uint8),),
        shape=(3, 16, 16),
        widths=(4, 4, 4, 2),
        fold=2,
        dim=8,
    ),
    "networks.pusht_image_features.PushTImageFeatures": Case(
        lambda: {"n_obs_steps": 2, "observation_shape": [3, 96, 96], "action_dim": 2},
        lambda made, a: made(made.perceive(torch.zeros(1, a["n_obs_steps"], 3, 96, 96, dtype=torch.uint8))),
    ),
    "networks.chunk_mlp.ResidualBlock": network(
        lambda a: (torch.zeros(2, a["width"]),), width=4, hidden=8, dropout=0.1
    ),
    "networks.chunk_mlp.AdaptiveBlock": network(lambda a: (torch.zeros(2, a["width"]),) * 4, width=4, hidden=8),
    "networks.chunk_mlp.ChunkMLP": Case(
        lambda: {
            "horizon": 4,
            "action_dim": 2,
            "condition_dim": 5,
            "width": 8,
            "depth": 1,
            "encoder_width": 8,
            "encoder_depth": 1,
            "dropout": 0.1,
        },
        lambda made, a: made.eval()(
            torch.zeros(2, a["horizon"], a["action_dim"]), STEPS, made.encode(torch.zeros(2, a["condition_dim"]))
        ),
    ),
    "networks.chunk_unet.FiLMBlock": build(inputs=8, outputs=8, condition=4),
    "networks.chunk_unet.ChunkUNet": Case(
        lambda: {"horizon": 4, "action_dim": 2, "condition_dim": 5, "widths": (8, 8)},
        lambda made, a: made.eval()(
            torch.zeros(2, a["horizon"], a["action_dim"]), STEPS, torch.zeros(2, a["condition_dim"])
        ),
    ),
    "networks.nt_xent.NTXent": network(lambda _: (torch.rand(3, 4), torch.rand(3, 4)), temperature=0.5),
    "networks.cnn.ResNet": network(
        lambda a: (torch.zeros(2, *a["shape"]),), shape=(3, 8, 8), num_classes=2, widths=(4, 4), blocks=1
    ),
    "networks.cnn.ResidualBlock": network(
        lambda a: (images(a["in_channels"]),), in_channels=4, out_channels=4, stride=1
    ),
    "networks.cnn.WhitenedCNN": network(
        lambda a: (torch.zeros(2, *a["shape"]),),
        shape=(3, 32, 32),
        num_classes=2,
        widths=(4, 4, 4),
        depth=2,
        norm_momentum=0.1,
    ),
    "networks.cnn.smallest_side": call(groups=3),
    "networks.cnn.doublings": call(side=64, base=32),
    "networks.cnn.whitened_widths": call(shape=[3, 64, 64]),
    "networks.cnn.ConvGroup": network(
        lambda a: (images(a["in_channels"]),), in_channels=4, out_channels=4, depth=2, norm_momentum=0.1
    ),
    "networks.cnn.Conv": network(lambda a: (images(a["in_channels"]),), in_channels=4, out_channels=4),
    "networks.dcgan.Generator": network(
        lambda a: (torch.zeros(2, a["latent"]), STEPS if a["num_classes"] else None),
        shape=[3, 16, 16],
        latent=4,
        width=4,
        num_classes=2,
        embedding=4,
    ),
    "networks.dcgan.Discriminator": network(
        lambda a: (torch.zeros(2, *a["shape"]), STEPS if a["num_classes"] else None),
        shape=[3, 16, 16],
        width=4,
        num_classes=2,
    ),
    "networks.dcgan.stages": call(shape=[3, 16, 16]),
    "networks.dcgan.lowest": call(shape=[3, 16, 16]),
    "networks.dcgan.stage_widths": call(shape=[3, 16, 16], width=8),
    "networks.embeddings.SinusoidalEmbedding": network(lambda a: (torch.arange(3),), width=8),
    "decoding.decoding_state.DecodingState": Case(
        lambda: {"decoder": decoder(), "prompt": PROMPT, "prompt_mask": None, "memory": None, "max_new_tokens": 4},
        lambda made, _: made.first(),
    ),
    "decoding.generation_config.GenerationConfig": build(
        max_new_tokens=4, temperature=1.0, top_k=2, top_p=0.9, beams=1, seed=0
    ),
    "decoding.generate.generate": Case(
        lambda: {
            "decoder": decoder(),
            "prompt": PROMPT,
            "max_new_tokens": 4,
            "temperature": 0.0,
            "top_k": None,
            "top_p": None,
            "beams": 1,
            "seed": 0,
            "first_row": 0,
            "end": 2,
            "suppress_tokens": [1, 3],
        },
        itself,
    ),
    "decoding.beam_search.beam_search": Case(
        lambda: {"state": decoding_state(), "beams": 2, "end": 2, "suppressed": torch.tensor([1])}, itself
    ),
    "networks.kv_cache.KVCache": build(capacity=4, layers=2),
    "networks.mlp.MLP": network(
        lambda a: (torch.zeros(2, *a["shape"]),), shape=(1, 2, 2), num_classes=2, hidden=(4, 4), dropout=0.1
    ),
    **{
        f"networks.positions.{name}": positions()
        for name in (
            "Positions",
            "NoPositions",
            "SinusoidalPositions",
            "LearnedPositions",
            "RotaryPositions",
            "ALiBi",
            "ScalableSoftmax",
        )
    },
    "networks.positions.check_heads": call(width=8, heads=2),
    "networks.pusht_features.PushTFeatures": network(
        lambda a: (torch.rand(2, a["n_obs_steps"], 18),), n_obs_steps=2, observation_shape=[18], action_dim=2
    ),
    "networks.normalized_features.NormalizedFeatures": network(
        lambda a: (torch.rand(2, a["n_obs_steps"], *a["observation_shape"]),),
        n_obs_steps=2,
        observation_shape=[3],
        action_dim=2,
    ),
    "networks.normalized_features.Normalization": network(lambda a: (torch.rand(2, a["size"]),), size=3),
    "decoding.sampling.next_distribution": call(logits=torch.randn(2, 5), temperature=1.0, top_k=2, top_p=0.9),
    "decoding.sampling.uniform": call(seed=0, rows=range(2), count=3),
    "decoding.sampling.check": call(temperature=1.0, top_k=2, top_p=0.9),
    "networks.transformer.Block": network(
        lambda a: (torch.zeros(2, 3, a["width"]), AttentionContext()), width=8, heads=2, dropout=0.1
    ),
    **{
        f"networks.transformer.{name}": Case(
            lambda: {"vocab_size": 12, "width": 8, "depth": 1, "heads": 2, "max_length": 16, "dropout": 0.1},
            lambda made, _: made.eval()(STEPS[:, None]),
        )
        for name in ("Encoder", "AnswerDecoder")
    },
    "networks.transformer.Decoder": Case(
        lambda: {
            "vocab_size": 12,
            "width": 8,
            "depth": 1,
            "heads": 2,
            "max_length": 16,
            "dropout": 0.1,
            "restart": 4,
        },
        lambda made, _: made.eval()(STEPS[:, None]),
    ),
    "networks.transformer.EncoderDecoder": Case(
        lambda: {"vocab_size": 12, "width": 8, "depth": 1, "heads": 2, "max_length": 16, "dropout": 0.1},
        lambda made, _: made.eval()(STEPS[:, None], STEPS[:, None]),
    ),
    "networks.transformer.Decoder.cache": Case(lambda: {"self": decoder(), "capacity": 4}),
    "networks.transformer.causal_mask": call(new=2, length=3),
    "networks.transformer.token_positions": call(tokens=PROMPT, restart=4),
    "networks.vocabulary.Vocabulary.tokens": call(self=Vocabulary(number_tokenizer(8)), ids=[4, 5]),
    "networks.image_shape.image_shape": call(shape=[3, 16, 16]),
    "networks.whitening.whitening_filters": call(images=torch.rand(2, 3, 4, 4), size=2, eps=1e-3),
    "networks.image_shape.check_images": call(images=images(), shape=[3, 8, 8]),
    "networks.class_labels.class_labels": call(labels=[0, 1, 2], num_classes=3, device="cpu"),
    "networks.unet2d.UNet2D": network(
        lambda a: (torch.zeros(2, *a["shape"]), STEPS, STEPS),
        shape=(1, 8, 8),
        num_classes=2,
        widths=(64, 64),
        blocks=1,
        attention=1,
        dropout=0.1,
    ),
    "networks.unet2d.level_widths": call(shape=[3, 32, 32]),
    "networks.unet2d.Level": build(in_channels=64, out_channels=64, blocks=1, condition=4, attention=True, dropout=0.1),
    "networks.unet2d.Block": network(
        lambda a: (images(a["in_channels"]), torch.zeros(2, a["condition"])),
        in_channels=64,
        out_channels=64,
        condition=4,
        dropout=0.1,
    ),
    "networks.unet2d.Attention": network(lambda a: (images(a["width"]),), width=64),
    # diffusion
    "diffusion.guidance.drop_labels": call(labels=STEPS, null=3, share=0.5),
    "diffusion.guidance.guided": Case(
        lambda: {
            "model": lambda x, t, labels: x,
            "labels": STEPS,
            "null": 3,
            "guidance_scale": 2.0,
            "guidance_interval": (2, 5),
        },
        lambda made, _: made(torch.ones(2, 3), STEPS + 3),
    ),
    "diffusion.guidance.check_guidance": call(guidance_scale=2.0, guidance_interval=(2, 5)),
    "diffusion.guidance.check_scales": call(scales=[1.0, 2.0]),
    "diffusion.noise.generators": Case(lambda: {"seed": 0, "numbers": [0, 1]}),
    "diffusion.loss.min_snr_weight": call(scheduler=SCHEDULER, prediction_type=VPrediction(), t=STEPS, gamma=5.0),
    "diffusion.noise_schedule.LinearSchedule": Case(lambda: {"start": 1e-4, "end": 0.02}, lambda made, _: made(1000)),
    "diffusion.noise_schedule.SquaredCosineSchedule": Case(
        lambda: {"offset": 0.008, "max_beta": 0.999}, lambda made, _: made(10)
    ),
    "diffusion.noise_schedule.CosineSchedule": Case(lambda: {"max_beta": 0.999}, lambda made, _: made(10)),
    "diffusion.timestep_distribution.LogitNormal": Case(
        lambda: {"mean": 0.0, "std": 1.0}, lambda made, _: made(10, (2, 3), generator())
    ),
    "diffusion.distillation.Distillation": build(teacher="pusht", substeps=2),
    "diffusion.distillation.teacher_pairs": call(
        teacher=lambda x, t: x * 0.5, x=torch.ones(2, 3), scheduler=SCHEDULER, visited=[9, 4], substeps=2
    ),
    "diffusion.inpainting.RePaint": Case(
        lambda: {"sampler": DPMSolver(), "x0": torch.zeros(3), "known": torch.arange(3) < 1, "resampling": 2},
        lambda made, _: made(lambda x, t: x * 0.5, torch.ones(2, 3), SCHEDULER, 3, generator()),
    ),
    "diffusion.samplers.DDIMSampler": Case(
        lambda: {"eta": 0.5},
        lambda made, _: made(lambda x, t: x * 0.5, torch.ones(2, 3), SCHEDULER, 5, generator()),
    ),
    "diffusion.thresholding.DynamicThresholding": Case(
        lambda: {"percentile": 0.9}, lambda made, _: made(torch.randn(2, 3))
    ),
    "diffusion.timesteps.LogSNRTimesteps": Case(
        lambda: {"lambda_min_clipped": -5.0}, lambda made, _: made(SCHEDULER, 5)
    ),
    "diffusion.timesteps.GivenTimesteps": Case(lambda: {"timesteps": [5, 2]}, lambda made, _: made(SCHEDULER, 2)),
    "diffusion.samplers.Sampler.with_given_timesteps": call(self=DPMSolver(), scheduler=SCHEDULER, steps=2),
    "diffusion.timesteps.check_sampling_steps": call(sampling_steps=2, num_train_timesteps=10),
    # datamodules
    "datamodules.class_labels.Labels": build(count=4, classes=2),
    "datamodules.class_labels.ClassLabels": build(class_names=["a", "b"], count=4, batch_size=2),
    "datamodules.augmentation.Shift": augmentation(pixels=1),
    "datamodules.augmentation.Cutout": augmentation(size=2),
    "datamodules.photometric_augmentation.Brightness": augmentation(strength=0.1),
    "datamodules.photometric_augmentation.Contrast": augmentation(strength=0.1),
    "datamodules.photometric_augmentation.GaussianNoise": augmentation(std=0.1),
    "datamodules.photometric_augmentation.GaussianBlur": augmentation(sigma=1.0),
    "datamodules.photometric_augmentation.ForSome": Case(
        lambda: {"augmentation": HorizontalFlip(), "share": 0.5},
        lambda made, _: made(images().byte(), torch.arange(2), 0, generator()),
    ),
    "datamodules.augmentation.Warp": augmentation(rotate=5.0, scale=0.1, shear=5.0, shift=1.0, bend=1.0, nodes=4),
    "datamodules.augmentation.check": build(augmentations=[HorizontalFlip()], shape=(1, 8, 8)),
    "datamodules.decoded_images.Decoder": build(shape=[1, 8, 8], broken_share=0.1, in_memory=4.0),
    "datamodules.held_out.check": call(val_share=0.1, split_seed=0),
    "datamodules.held_out.split_by_content": call(contents=[b"a", b"b", b"c"], what="rows", share=0.2, seed=0),
    "datamodules.held_out.split": call(count=10, what="rows", val_share=0.2, split_seed=0, at_least=0),
    "datamodules.image_reader.read_image": Case(lambda: {"file": PNG, "channels": 1}),
    "datamodules.fonts.draw": Case(lambda: {"n": 2, "shape": (1, 12, 12), "rng": rng()}, itself),
    "datamodules.svhn.SVHN": build(val_share=0.1),
    "datamodules.pairs.similar_lengths": call(lengths=torch.arange(1, 6), batch_size=2),
    "datamodules.everyday.everyday_sentences": call(words=["tea", "cup"], count=2),
    "datamodules.pig_latin.PigLatin": build(
        max_length=60, batch_size=8, train_size=16, word_share=0.5, pseudo_share=0.3, seed=0
    ),
    "datamodules.pig_latin.part": Case(
        lambda: {
            "sentence": "the quick brown fox",
            "max_length": 30,
            "pseudo_share": 0.5,
            "fresh": iter(["word"] * 99),
            "rng": rng(),
        },
        itself,
    ),
    "datamodules.windows.Windows": Case(
        lambda: {
            "recorded": DEMONSTRATIONS,
            "episodes": torch.arange(2),
            "n_obs_steps": 2,
            "horizon": 8,
            "pad_after": 4,
        },
        lambda made, _: made[0],
    ),
    "datamodules.pusht.PushTDemos": build(
        source="bundled", n_obs_steps=2, horizon=8, pad_after=4, batch_size=8, val_share=0.1, split_seed=0
    ),
    "datamodules.pusht_images.PushTImages": build(
        source="bundled",
        n_obs_steps=2,
        horizon=8,
        pad_after=4,
        batch_size=8,
        val_share=0.1,
        split_seed=0,
        scenes=4,
        colour_jitter=10.0,
    ),
    "datamodules.windows.check_window": call(n_obs_steps=2, horizon=8, pad_after=4),
    "datamodules.demonstrations.Demonstrations": build(
        source="bundled", n_obs_steps=2, horizon=8, pad_after=4, batch_size=8, val_share=0.1, split_seed=0
    ),
    "datamodules.sorting.draw": call(count=3, min_length=2, max_length=5, seed=0, crowded_share=0.5),
    "datamodules.sorting.Sorting": build(
        min_length=2,
        max_length=5,
        batch_size=4,
        train_size=8,
        crowded_share=0.5,
        val_size=4,
        test_size=4,
        test_lengths=(4,),
        seed=0,
        numbers=[3, 1],
    ),
    "datamodules.tokenization.number_tokenizer": call(numbers=10),
    "datamodules.tokenization.BPETokenizer": build(vocab_size=128),
    "datamodules.tokenization.ByteLevelBPETokenizer": build(vocab_size=300),
    "datamodules.tokenization.byte_level_bpe_tokenizer": call(texts=["a text of some words"] * 3, size=270),
    "datamodules.held_out.check_shares": call(val_share=0.1, test_share=0.1),
    "datamodules.text.Text": build(block_size=16, batch_size=4, val_share=0.1, test_share=0.1, seed=0),
    "datamodules.text.cut": call(documents=["one two", "three"], count=3),
    "datamodules.text_pairs.held_out_by_hash": call(rows=[("a", "b"), ("c", "d")], shares=[0.5, 0.1]),
    "datamodules.text_pairs.TextPairs": build(batch_size=4, val_share=0.1, test_share=0.1, seed=0, text="a"),
    "datamodules.token_stream.Blocks": Case(
        lambda: {"tokens": torch.arange(20), "length": 4}, lambda made, _: made[0] if len(made) else None
    ),
    "datamodules.pairs.EpochPairs": build(draw=lambda epoch: None, epoch=lambda: 0, count=2),
    "datamodules.tokenization.bpe_tokenizer": call(texts=["a text of some words"] * 3, size=128),
    # lightning_modules
    "lightning_modules.classifier.Classifier": build(
        shape=[1, 8, 8],
        num_classes=3,
        mean=[0.5],
        std=[0.5],
        label_smoothing=0.1,
        lr=0.1,
        tta_shift=1,
    ),
    "lightning_modules.cnn_classifier.CNNClassifier": build(widths=[4, 4], blocks=1, **SMALL),
    "metrics.confusion_tables.top": call(confusion=torch.ones(3, 3, dtype=torch.long), n=2),
    "metrics.confusion_tables.tables": call(
        confusion=torch.ones(3, 3, dtype=torch.long), class_names=["a", "b", "c"], n=2
    ),
    "lightning_modules.ddpm.DDPM": build(
        network=partial(UNet2D, widths=(64, 64)),
        shape=(1, 8, 8),
        num_classes=2,
        num_train_timesteps=1000,
        min_snr_gamma=5.0,
        condition_dropout=0.1,
        guidance_scale=2.0,
        guidance_interval=(2, 5),
        sampling_steps=5,
        lr=0.1,
    ),
    "lightning_modules.ddpm.DDPM.sample": Case(
        lambda: {
            "self": DDPM(**TINY_DDPM),
            "labels": STEPS,
            "guidance_scale": 2.0,
            "sampling_steps": 3,
            "generator": generator(),
        },
        itself,
    ),
    "lightning_modules.diffusion_policy.DiffusionPolicy.act": Case(
        lambda: {
            "self": DiffusionPolicy(observation_shape=[18], action_dim=2, horizon=4, n_action_steps=2),
            "observations": np.zeros((2, 18)),
            "generator": generator(),
            "temperature": 1.0,
        },
        itself,
    ),
    "lightning_modules.diffusion_policy.DiffusionPolicy": build(
        observation_shape=[18],
        action_dim=2,
        n_obs_steps=2,
        horizon=8,
        n_action_steps=4,
        num_train_timesteps=100,
        sampling_steps=5,
        temperature=1.0,
        noise_levels_per_sample=2,
        lr=0.1,
    ),
    "lightning_modules.fast_cnn_classifier.FastCNNClassifier": build(
        widths=[4, 4, 4],
        depth=2,
        norm_momentum=0.1,
        small_size=24,
        small_share=0.1,
        hard_share=0.5,
        proxy_widths=[4, 4, 4],
        shape=(3, 32, 32),
        num_classes=3,
    ),
    "lightning_modules.gan.GAN": build(
        **TINY_GAN,
        penalty=0.1,
        discriminator_steps=1,
        generator_lr=0.1,
        discriminator_lr=0.1,
        generator_clip=1.0,
        discriminator_clip=1.0,
        ema=0.9,
    ),
    "lightning_modules.gan.GAN.latents": Case(lambda: {"self": GAN(**TINY_GAN), "count": 2}, itself),
    "lightning_modules.gan.GAN.sample": Case(lambda: {"self": GAN(**TINY_GAN), "labels": [0, 1]}, itself),
    "lightning_modules.gan.averaging": build(decay=0.9),
    "lightning_modules.mlp_classifier.MLPClassifier": build(hidden=[4], dropout=0.1, **SMALL),
    "lightning_modules.optimized_module.OptimizedModule": build(lr=0.1),
    "optim.lr_schedule.Constant": factors(warmup=0.2),
    "optim.lr_schedule.WarmupCosine": factors(warmup=0.2, final=0.1),
    "optim.lr_schedule.WarmupLinear": factors(warmup=0.2, final=0.1),
    "adversarial.diff_augment.Brightness": diff_augmentation(strength=0.5),
    "adversarial.diff_augment.Contrast": diff_augmentation(strength=0.5),
    "adversarial.diff_augment.Crop": diff_augmentation(least=0.5),
    "adversarial.diff_augment.Cutout": diff_augmentation(share=0.5),
    "adversarial.diff_augment.Saturation": diff_augmentation(strength=0.5),
    "adversarial.diff_augment.Translation": diff_augmentation(share=0.5),
    "adversarial.slerp.slerp": call(start=torch.randn(2, 3), end=torch.randn(2, 3), share=0.5),
    "optim.distributed_muon.shares": Case(lambda: {"matrices": [torch.ones(2, 3)], "count": 2}, itself),
    "optim.muon_with_sgd.MuonWithSGD": Case(
        lambda: {
            "params": no_decay_on_vectors(nn.Linear(2, 2)),
            "lr": 0.1,
            "bias_lr": 0.1,
            "head_lr": 0.1,
            "weight_decay": 0.1,
            "momentum": 0.6,
            "sgd_momentum": 0.8,
            "ns_steps": 3,
        }
    ),
    "optim.progressive_resizing.ProgressiveResizing": Case(
        lambda: {"size": 4, "share": 0.5}, lambda made, _: made(images(), 0, 10)
    ),
    "optim.progressive_resizing.resized": call(images=images(), size=4),
    "optim.selection_via_proxy.SelectionViaProxy": Case(
        lambda: {"proxy": MLP, "share": 0.5, "size": 4}, lambda made, _: made.hardest(torch.rand(4))
    ),
    "optim.selection_via_proxy.SelectionViaProxy.losses": Case(
        lambda: {
            "self": SelectionViaProxy(MLP),
            "proxy": MLP([3, 8, 8], 2),
            "images": images(),
            "labels": torch.tensor([0, 1]),
            "label_smoothing": 0.1,
        },
        itself,
    ),
    "lightning_modules.self_supervised.SelfSupervised": build(shape=[3, 8, 8], hidden=4, dim=4, lr=0.1),
    "lightning_modules.sequence_model.SequenceModel.generate": Case(
        lambda: {
            "self": Seq2Seq(12, partial(EncoderDecoder, width=8, depth=1, heads=2, max_length=16)),
            "source": PROMPT,
            "source_mask": PROMPT > 0,
            "max_new_tokens": 4,
        },
        itself,
    ),
    "lightning_modules.sequence_model.packed": Case(
        lambda: {"tokens": torch.ones(2, 3, dtype=torch.long), "mask": torch.ones(2, 3).bool(), "enough": 4}, itself
    ),
    "lightning_modules.sequence_model.SequenceModel": build(
        vocab_size=12, network=partial(AnswerDecoder, width=8, depth=1, heads=2, max_length=16), lr=0.1
    ),
    **{
        f"lightning_modules.{name}": build(vocab_size=12, lr=0.1)
        for name in ("seq2seq.Seq2Seq", "language_model.LanguageModel", "sequence_tagger.SequenceTagger")
    },
    "diffusion.sample_noise.noise_of": Case(lambda: {"batch": {"index": STEPS}, "seed": 0}),
    # callbacks
    "callbacks.progress_lines.ProgressLines": build(refresh_rate=10.0),
    "callbacks.weight_averaging.EMAWeightAveraging": build(decay=0.9, update_every_n_steps=1),
    "callbacks.best_checkpoint.BestCheckpoint": build(monitor="val/loss", save_top_k=1),
    "callbacks.classification_report.ClassificationReport": build(mistakes=4, filters=4),
    "callbacks.denoising_strip.DenoisingStrip": build(classes=2, frames=3),
    "callbacks.guidance_grid.GuidanceGrid": build(scales=(0.0, 1.0)),
    "callbacks.resume.last_checkpoint.LastCheckpoint": build(every_n_epochs=1),
    "callbacks.latent_interpolation.LatentInterpolation": build(stops=2, frames=3, rows=2, seed=0),
    "callbacks.nearest_neighbours.NearestNeighbours": build(classifier="pretrained/mnist_mlp", neighbours=2, seed=0),
    "callbacks.nearest_neighbours.beside": call(
        samples=images(), images=images(), sample_features=torch.rand(2, 3), features=torch.rand(2, 3), count=1
    ),
    "callbacks.rollouts.Rollouts": build(val_episodes=2, test_episodes=2, video_episodes=2, parallel_worlds=2),
    "callbacks.sample_grid.SampleGrid": build(every_n_steps=10, rows=2),
    "callbacks.sample_grid.grid": call(images=images().byte(), columns=2, scale=2),
    "callbacks.sample_quality.SampleQuality": build(classifier="pretrained/mnist_mlp", samples=10, seed=0),
    "callbacks.saturation.Saturation": build(scales=(1.0, 3.0), samples=4),
    "callbacks.text_samples.TextSamples": build(count=2),
    "callbacks.text_continuations.TextContinuations": build(
        count=2, prompt_tokens=4, max_new_tokens=4, temperature=0.5, seed=0
    ),
    "callbacks.validation_rows.validation_rows": call(
        trainer=SimpleNamespace(val_dataloaders=[None]), batch={"source": torch.ones(3, 2)}, count=2
    ),
    # metrics
    "metrics.confidence_interval.students_t_interval": call(values=[1.0, 2.0], confidence=0.9, low=0.0, high=3.0),
    "metrics.wilson_interval.wilson_interval": call(successes=1, n=3, confidence=0.9),
    "metrics.precision_recall.precision_recall": call(real=torch.rand(9, 3), samples=torch.rand(8, 3), k=2),
    "metrics.precision_recall.expected_coverage": call(n=9, m=8, k=2),
    "metrics.linear_probe.linear_probe": call(
        features=torch.rand(6, 3),
        labels=torch.arange(6) % 2,
        test_features=torch.rand(4, 3),
        test_labels=torch.arange(4) % 2,
        weight_decay=0.1,
    ),
    # envs
    "envs.action_chunking.ActionChunking": Case(
        lambda: {"env": gym.make("firstlight/PushT-v0"), "n_action_steps": 2, "n_obs_steps": 2},
        lambda made, _: made.reset(seed=0)[0],
    ),
    "envs.action_chunking.ActionChunking.reset": Case(
        lambda: {"self": ActionChunking(PushT("state"), 2, 2), "seed": 0}, itself
    ),
    "planning.dagger.states_after": call(episode=EPISODE, steps=[1]),
    "envs.drawing.draw": call(pointer=[100.0, 100.0], block_pose=np.array([200.0, 200.0, 0.5]), size=64),
    "planning.planner.plan_episodes": Case(
        lambda: {"resets": [], "path": Path(mkdtemp()) / "plans.json", "workers": 1, "attempts": 2}
    ),
    "planning.pushes.blocked": call(start=np.zeros((1, 2)), end=np.ones((1, 2)), margin=0.01),
    "planning.pushes.paths": call(
        states=STATE[None], pushes=np.array([[10.0, 0.0, 20.0, 0.0, 8.0, 1.0]]), walking_speed=30.0
    ),
    "planning.pushes.perturbed": Case(lambda: {"rng": rng(), "pushes": np.ones((2, 6)), "scale": 0.5}, itself),
    "envs.pusht.reward_of": call(coverage=0.5),
    "envs.pusht.legacy_state": call(seed=0),
    "envs.pusht.PushT": Case(lambda: {"render_size": 64}, lambda made, _: made.reset(seed=0)[0]),
    "envs.pusht_vector.PushTVector": Case(
        lambda: {"num_envs": 2, "max_episode_steps": 5, "render_size": 64}, first_observation
    ),
    "envs.pusht_vector.PushTVector.reset": Case(lambda: {"self": PushTVector(2), "seed": 0}, itself),
    "envs.action_chunking.VectorActionChunking": Case(
        lambda: {"env": PushTVector(2, autoreset_mode="Disabled"), "n_action_steps": 2, "n_obs_steps": 2},
        first_observation,
    ),
    "envs.action_chunking.VectorActionChunking.reset": Case(
        lambda: {"self": VectorActionChunking(PushTVector(2, autoreset_mode="Disabled"), 2, 2), "seed": 0}, itself
    ),
    "envs.pusht.PushT.reset": Case(lambda: {"self": PushT("state"), "seed": 0}, itself),
    "planning.self_imitation.shortest_successes": call(episodes=[EPISODE], keep=1),
    "envs.world.World.vector": Case(
        lambda: {"self": World("Pendulum-v1"), "n": 1, "n_obs_steps": 2, "n_action_steps": 2}, first_observation
    ),
    "envs.pusht_world.PushTWorld.vector": Case(
        lambda: {"self": PushTWorld(), "n": 1, "n_obs_steps": 2, "n_action_steps": 2}, first_observation
    ),
    "envs.world.World.rollout": Case(
        lambda: {
            "self": World("Pendulum-v1"),
            "act": lambda x, indices: np.zeros((len(x), 2, 1)),
            "seeds": [],
            "n_obs_steps": 2,
            "n_action_steps": 2,
            "parallel_worlds": 2,
        },
    ),
    "envs.world.World.check": Case(lambda: {"self": World("Pendulum-v1"), "observation_shape": [3], "action_dim": 1}),
    "envs.lerobot_dataset.write_dataset": Case(
        lambda: {
            "path": Path(mkdtemp()) / "demos",
            "episodes": [{"action": np.zeros((3, 2))}],
            "fps": 10,
            "task": "none",
            "robot_type": "none",
            "provenance": {},
        }
    ),
    "envs.rollout.rollout": build(
        act=lambda x, indices: np.zeros((len(x), 2, 2)), seeds=[], n_obs_steps=2, n_action_steps=2, parallel_worlds=2
    ),
    "cli.own_process.call_all": build(waiting={}, parallel=1, ended=print),
    "cli.policy_arguments.add_policy_arguments": Case(lambda: {"parser": ArgumentParser(), "seeds": 2}),
    "planning.beam_search.covers": call(poses=np.array([[256.0, 256.0, 0.5]]), coverage=0.9),
    "planning.beam_search.BeamSearch": build(
        beam=2,
        samples=2,
        first_samples=2,
        refinements=1,
        depth=1,
        distance_weight=1.5,
        unfinished=15.0,
        done_coverage=0.97,
        shortest_push=4,
        walking_speed=30.0,
    ),
    "envs.disturbances.BlockPush": disturbed(BlockPush, distance=60.0, angle=0.5, within=2),
    "envs.disturbances.BlockPush.reset": Case(lambda: {"self": BlockPush(PushT("state")), "seed": 0}, itself),
    "envs.disturbances.KeypointNoise": disturbed(KeypointNoise, std=2.0),
    "envs.disturbances.KeypointNoise.reset": Case(
        lambda: {"self": KeypointNoise(PushT("keypoints")), "seed": 0}, itself
    ),
    "envs.disturbances.ActionDelay": disturbed(ActionDelay, steps=1),
    "envs.disturbances.ActionDelay.reset": Case(lambda: {"self": ActionDelay(PushT("state")), "seed": 0}, itself),
    "envs.disturbances.Disturbance.reset": Case(lambda: {"self": Disturbance(PushT("state")), "seed": 0}, itself),
    "envs.disturbances.PointerDamping": disturbed(PointerDamping, factor=1.2),
    "envs.video.frames": call(episode=EPISODE, size=16),
    "envs.video.tiled": call(videos=[[np.zeros((8, 8, 3), np.uint8)]], columns=1),
    "envs.video.wall": call(episodes=[EPISODE], columns=1, size=16),
}
