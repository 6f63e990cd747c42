"""What callbacks ask of a module: a `Protocol` for each kind, and the check that a module satisfies it.

A callback checks its module in `setup`, so that a module that does not fit is refused before anything is computed.

B batch, C channels, H height, W width, F features, K classes, Z latent, O observations, T actions, A action dimensions.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from diffusion.noise import Generators


class ImageGenerator(Protocol):
    """Draws images of classes."""

    def sample(self, labels: Tensor, *, generator: Generators) -> Tensor:
        """An image for each label: (B,) -> (B, C, H, W) uint8."""


class LatentGenerator(Protocol):
    """Draws images of classes from latents."""

    def latents(self, count: int, generator: Generators) -> Tensor:
        """Random latents (count, Z)."""

    def sample(self, labels: Tensor, *, latents: Tensor) -> Tensor:
        """An image for each label and latent: (B,), (B, Z) -> (B, C, H, W) uint8."""


class GuidedGenerator(Protocol):
    """Draws images of classes with classifier-free guidance."""

    def sample(self, labels: Tensor, *, guidance_scale: float, generator: Generators) -> Tensor:
        """An image for each label: (B,) -> (B, C, H, W) uint8."""


class ThresholdedGenerator(Protocol):
    """Draws images of classes with guidance and thresholding of its predictions."""

    def sample(
        self, labels: Tensor, *, guidance_scale: float, thresholding: Callable[[Tensor], Tensor], generator: Generators
    ) -> Tensor:
        """An image for each label: (B,) -> (B, C, H, W) uint8."""


class StepwiseGenerator(Protocol):
    """Draws images in steps that can be watched."""

    def sample(self, labels: Tensor, *, generator: Generators, on_step: Callable[[int, Tensor], None]) -> Tensor:
        """An image for each label; `on_step(number, x0)` sees each step's prediction (B, C, H, W) in [-1, 1]."""


class ImageClassifier(Protocol):
    """Tells classes of images apart; its validation and test steps return logits (B, K)."""

    confusion: Metric  # (K, K) counts of the validation or test that runs
    class_names: Sequence[str]

    def filters(self) -> Tensor | None:
        """Weights of the first layer (n, C, h, w), None where it has none."""


class ClassPredictor(Protocol):
    """Its `predict_step` returns {"label": (B,), "probability": (B, K)}."""

    class_names: Sequence[str]

    def forward(self, images: Tensor) -> Tensor:
        """Logits: (B, C, H, W) uint8 -> (B, K)."""


class TextAnswerer(Protocol):
    """Answers a text with a text."""

    vocabulary: Any  # networks.vocabulary.Vocabulary

    def generate(self, source: Tensor, source_mask: Tensor) -> Tensor:
        """Token ids of answers: (B, L), (B, L) -> (B, T)."""

    def is_exact(self, ids: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B,) which answers equal the batch's targets to the last token."""


class TextWriter(Protocol):
    """Goes on with a text."""

    vocabulary: Any  # networks.vocabulary.Vocabulary

    def go_on(self, tokens: Tensor, *, max_new_tokens: int, temperature: float, seed: int) -> Tensor:
        """Token ids of what follows: (B, P) -> (B, N)."""


class AttentiveModule(Protocol):
    """A transformer whose attention weights can be read."""

    vocabulary: Any  # networks.vocabulary.Vocabulary
    network: nn.Module

    def attention_maps(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of each attention that can be read: {name: (B, heads, asking tokens, attended tokens)}."""


class Compilable(Protocol):
    """Says what of it `torch.compile` can make faster, where that is not each of its networks as a whole."""

    def compilable_parts(self) -> list[nn.Module]:
        """Parts that a training step calls."""


class Policy(Protocol):
    """Acts on observations; `hparams` has `n_obs_steps` and `n_action_steps`."""

    hparams: Any
    device: torch.device
    observation: str | None  # a kind of observation of the environment, where it has several
    observation_shape: Any  # of one step, by key where there are several
    action_dim: int

    def act(self, observations: Any, generator: Generators) -> Tensor:
        """Actions in raw units: (B, O, ...), by key where there are several -> (B, T, A)."""


def check_module(callback: object, module: object, protocol: type) -> None:
    """Raises ValueError where a module lacks something of the protocol that a callback asks of it.

    That may be an attribute, a method, or a keyword argument of a method.
    """
    if missing := [what for name in _members(protocol) for what in _missing(module, protocol, name)]:
        raise ValueError(
            f"{type(callback).__name__} asks a module for {', '.join(missing)}, which {type(module).__name__} does not "
            f"have ({protocol.__module__}.{protocol.__name__}); leave the callback out of trainer.callbacks"
        )


def _members(protocol: type) -> list[str]:
    methods = [name for name in vars(protocol) if inspect.isfunction(vars(protocol)[name]) and name[0] != "_"]
    return [*inspect.get_annotations(protocol), *methods]


def _missing(module: object, protocol: type, name: str) -> list[str]:
    if not hasattr(module, name) or getattr(type(module), name, None) is vars(L.LightningModule).get(name, name):
        return [name]  # what Lightning defines for every module says nothing of this one
    method = vars(protocol).get(name)
    if method is None:
        return []
    given = inspect.signature(getattr(module, name)).parameters
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in given.values()):
        return []
    asked = inspect.signature(method).parameters.values()
    return [
        f"{name}({parameter.name}=)"
        for parameter in asked
        if parameter.kind == parameter.KEYWORD_ONLY and parameter.name not in given
    ]
