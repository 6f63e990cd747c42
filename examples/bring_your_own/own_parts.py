"""Parts of your own, in a file of your own: nothing of Firstlight is edited, and a YAML names them.

B batch, C channels, H height, W width, K classes, Z latent, T time steps, A action dimensions, V vocabulary.
"""

from collections.abc import Callable, Iterable, Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adversarial.objectives import GANObjective
from diffusion.noise import Generators, randn
from diffusion.samplers import Denoiser, Sampler, Update
from diffusion.scheduler import NoiseScheduler, at
from optim.lr_schedule import LRSchedule


class SignSGD(torch.optim.Optimizer):
    """Steps of the same size in every direction: the sign of the averaged gradient (Bernstein et al. 2018)."""

    def __init__(self, params: Iterable, lr: float = 1e-3, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(average.sign(), alpha=group["lr"])
        return loss


class Halving(LRSchedule):
    """Half the learning rate, so many times on the way."""

    def __init__(self, times: int = 4):
        self.times = times

    def __call__(self, step: int, total: float) -> float:
        return 0.5 ** int((self.times + 1) * min(step / total, 1 - 1e-9))


class OwnClassifier(nn.Module):
    """For `Classifier`: images (B, C, H, W) -> logits (B, K)."""

    def __init__(self, shape: Sequence[int], num_classes: int, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(prod(shape), width), nn.ReLU(), nn.Linear(width, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class OwnTagger(nn.Module):
    """For `SequenceTagger`: tokens (B, T) -> features -> logits (..., V), from the tokens around each."""

    def __init__(self, vocab_size: int, width: int = 32, around: int = 9):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.mix = nn.Conv1d(width, width, around, padding=around // 2)
        self.head = nn.Linear(width, vocab_size)

    def features(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embedding(tokens) if mask is None else self.embedding(tokens) * mask[..., None]
        return x + F.relu(self.mix(x.mT)).mT

    def logits(self, features: Tensor) -> Tensor:
        return self.head(features)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.logits(self.features(tokens, mask))


class OwnGenerator(nn.Module):
    """For `GAN`: latents (B, Z) and classes (B,) -> images (B, C, H, W) in [-1, 1]."""

    def __init__(self, shape: Sequence[int], num_classes: int, latent: int = 16, width: int = 64):
        super().__init__()
        self.shape, self.latent = tuple(shape), latent
        self.classes = nn.Embedding(num_classes, latent)
        self.layers = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, prod(shape)), nn.Tanh())

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.layers(latents + self.classes(labels)).unflatten(1, self.shape)


class OwnDiscriminator(nn.Module):
    """For `GAN`: images (B, C, H, W) and classes (B,) -> logits (B,), high for real ones."""

    def __init__(self, shape: Sequence[int], num_classes: int, width: int = 64):
        super().__init__()
        self.classes = nn.Embedding(num_classes, width)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), width), nn.LeakyReLU(0.2))
        self.head = nn.Linear(width, 1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.layers(images)
        return self.head(features)[:, 0] + (features * self.classes(labels)).mean(1)


class LeastSquares(GANObjective):
    """Logits of 1 for real images and 0 for generated ones (Mao et al. 2017, Eq. 9)."""

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return (fake - 1).square().mean() / 2


class OwnDenoiser(nn.Module):
    """For `DDPM`: noisy images (B, C, H, W), steps (B,) and classes (B,), K for none -> a prediction (B, C, H, W)."""

    def __init__(self, shape: Sequence[int], num_classes: int, channels: int = 16):
        super().__init__()
        self.condition = nn.Embedding(num_classes + 1, channels)
        self.time = nn.Linear(1, channels)
        self.first, self.last = nn.Conv2d(shape[0], channels, 5, padding=2), nn.Conv2d(channels, shape[0], 5, padding=2)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        condition = self.condition(labels) + self.time(t[:, None].to(x.dtype) / 1000)
        return self.last(F.silu(self.first(x) + condition[..., None, None]))


class FreshNoise(Sampler):
    """Each step forgets the noise before it: x_0 is noised anew (Song et al. 2023, "Consistency Models", Alg. 1)."""

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        def renoised(x: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
            noise = randn(x.shape, generator, x.device, x.dtype)
            signal, sigma = scheduler.sqrt_alpha_bar, scheduler.sqrt_one_minus_alpha_bar
            return at(signal, following, x) * x0 + at(sigma, following, x) * noise

        return renoised


class OwnActionDenoiser(nn.Module):
    """For `DiffusionPolicy`: noisy actions (B, T, A), steps (B,) and what `encode` made of an observation."""

    def __init__(self, horizon: int, action_dim: int, condition_dim: int, width: int = 64):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(condition_dim, width), nn.ReLU())
        self.layers = nn.Sequential(
            nn.Linear(horizon * action_dim + 1 + width, width), nn.ReLU(), nn.Linear(width, horizon * action_dim)
        )

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        given = torch.cat([x.flatten(1), t[:, None].to(x.dtype) / 100, context], 1)
        return self.layers(given).unflatten(1, x.shape[1:])
