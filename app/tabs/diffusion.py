"""Diffusion: an image as it forms from noise, step by step, and the same in two dimensions, where paths can be drawn.

A part of an image that was drawn may be rubbed out: it is then drawn anew, so that it fits the rest.

B batch, N points of the data in two dimensions.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.models import arguments_of, class_names, command_of
from app.request import Request
from app.tab import Answer, AppState, Say, Tab, packed, rounded
from diffusion.inpainting import RePaint
from diffusion.noise import Generators, generators, randn
from diffusion.noise_schedule import SquaredCosineSchedule
from diffusion.samplers import DDIMSampler, DDPMSampler, Denoiser, DPMSolver, OnStep, Sampler, Update
from diffusion.scheduler import NoiseScheduler
from diffusion.thresholding import DynamicThresholding, NoThresholding, StaticThresholding, Thresholding
from networks.image_range import from_pixels, to_pixels

CLASSES = ("lightning_modules.ddpm.DDPM",)
SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "DPM-Solver++": DPMSolver,
    "DDIM": DDIMSampler,
    "DDIM, eta 1": lambda: DDIMSampler(eta=1.0),
    "DDPM": DDPMSampler,
}
THRESHOLDING: dict[str, Callable[[], Thresholding]] = {
    "none": NoThresholding,
    "static": StaticThresholding,
    "dynamic": DynamicThresholding,
}
MOST_STEPS, MOST_TOY_STEPS = 250, 60
PARTICLES = 160
MOST_RESAMPLINGS = 20


class Watched(Sampler):
    """Another sampler, watched: `on_visit(x_t, x_0, t)` is called at every step with what goes in and comes out."""

    def __init__(self, sampler: Sampler, on_visit: Callable[[Tensor, Tensor, int], None]):
        super().__init__(sampler.timesteps)
        self.sampler, self.on_visit = sampler, on_visit

    def __call__(
        self,
        denoise: Denoiser,
        x: Tensor,
        scheduler: NoiseScheduler,
        steps: int,
        generator: Generators = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        def watched(x_t: Tensor, t: Tensor) -> Tensor:
            x0 = denoise(x_t, t)
            self.on_visit(x_t, x0, int(t[0]))
            return x0

        return self.sampler(watched, x, scheduler, steps, generator, on_step)

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        return self.sampler.update(scheduler, generator, denoise)


class Drawn(NamedTuple):
    """What was drawn last on a side of the page."""

    model: str
    image: Tensor  # (C, H, W) uint8
    fills: int  # how often a part of it was drawn anew


class DiffusionTab(Tab):
    """One or two images at a time, and the toy in two dimensions."""

    def __init__(self, app_state: AppState):
        super().__init__(app_state)
        self._drawn: dict[str, Drawn] = {}  # by side

    def hello(self) -> Answer:
        return {
            "models": [
                {
                    "name": name,
                    "command": command_of(name),
                    "classes": class_names(place),
                    "guidance_scale": arguments_of(place).get("guidance_scale", 2.0),
                    "sampling_steps": arguments_of(place).get("sampling_steps", 20),
                }
                for name, place in self._models().items()
            ],
            "samplers": list(SAMPLERS),
            "thresholding": list(THRESHOLDING),
            "toy": rounded(spiral(), 3),
        }

    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        return {"draw": self._draw, "draw beside": self._draw, "walk": self._walk}

    def _models(self) -> dict[str, Path]:
        return self.app_state.models.of(CLASSES)

    def _draw(self, request: Request, say: Say) -> None:
        """An image from noise; where `rubbed_out` is given, the part of the last one that it marks, the rest kept."""
        models, side = self._models(), request.do
        name = request.choice("model", models)
        sampler = SAMPLERS[request.choice("sampler", SAMPLERS)]()
        thresholding = THRESHOLDING[request.choice("thresholding", THRESHOLDING)]()
        steps = request.whole("steps", 1, MOST_STEPS)
        seed, scale = request.whole("seed", 0, 2**32 - 1), request.number("guidance_scale", "[0, 20]")
        model = self.app_state.models.load(name, models[name], lambda: say({"kind": "loading", "model": name}))
        label = request.whole("label", 0, max(0, model.hparams.num_classes - 1))
        fills, visits = 0, 0
        kept = torch.zeros(tuple(model.hparams.shape))
        known = torch.zeros(kept.shape, dtype=torch.bool)
        if "rubbed_out" in request:
            kept, known, fills = self._rest(request, name)
        resampling = request.whole("resampling", 1, MOST_RESAMPLINGS) if "resampling" in request and fills else 1
        evaluations = (steps - 1) * resampling + 1

        def on_visit(x_t: Tensor, x0: Tensor, t: int) -> None:
            nonlocal visits
            visits += 1
            say(
                {
                    "kind": "step",
                    "side": side,
                    "number": visits,
                    "of": evaluations,
                    "t": t,
                    "x_t": packed(to_pixels(x_t[0]).numpy()),
                    "x_0": packed(to_pixels(torch.where(known, kept, x0[0])).numpy()),
                }
            )

        walk = RePaint(sampler, kept, known, resampling) if fills else sampler
        noise = generators([seed, fills] if fills else [seed], [0])
        image = model.sample([label], scale, thresholding, Watched(walk, on_visit), steps, noise)[0]
        self._drawn[side] = Drawn(name, image, fills)
        say({"kind": "image", "side": side, "image": packed(image.numpy())})

    def _rest(self, request: Request, model: str) -> tuple[Tensor, Tensor, int]:
        """The image that a part of was rubbed out, in [-1, 1], where it is still known, and the number of this fill."""
        last = self._drawn.get(request.do)
        if last is None or last.model != model:
            raise ValueError(f"nothing is drawn by {model} yet: there is nothing to fill in")
        rubbed_out = torch.tensor(request.pixels("rubbed_out", tuple(last.image.shape[1:]))) > 0  # (H, W)
        return from_pixels(last.image), (~rubbed_out).expand_as(last.image), last.fills + 1

    def _walk(self, request: Request, say: Say) -> None:
        """Particles from noise to the spiral, by the exact denoiser."""
        sampler = SAMPLERS[request.choice("sampler", SAMPLERS)]()
        steps, seed = request.whole("steps", 1, MOST_TOY_STEPS), request.whole("seed", 0, 2**32 - 1)
        scheduler = NoiseScheduler(SquaredCosineSchedule()(1000))
        data = torch.from_numpy(spiral())
        drawn = generators(seed, range(PARTICLES))
        paths: list[Tensor] = []

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            paths.append(x)
            return expected_data(x, t, data, scheduler)

        paths.append(sampler(denoise, randn((PARTICLES, 2), drawn, dtype=torch.float64), scheduler, steps, drawn))
        say({"kind": "paths", "paths": rounded(torch.stack(paths, 1).numpy(), 3)})  # (PARTICLES, steps + 1, 2)


def expected_data(x: Tensor, t: Tensor, data: Tensor, scheduler: NoiseScheduler) -> Tensor:
    """E[x_0 | x_t] where the data are N points, all equally likely: (B, 2), (B,), (N, 2) -> (B, 2).

    What a network that is trained to the end would predict: by Bayes' rule from q(x_t | x_0), Ho et al. 2020, Eq. 4.
    """
    signal, noise = (
        table[t].to(x)[:, None] for table in (scheduler.sqrt_alpha_bar, scheduler.sqrt_one_minus_alpha_bar)
    )
    squares = (x[:, None] - signal[..., None] * data).square().sum(-1)  # (B, N)
    return (-squares / (2 * noise.square())).softmax(1) @ data


def spiral(count: int = 240) -> np.ndarray:
    """Points (count, 2) of two arms around the middle, within [-1, 1]."""
    turn = np.linspace(0.6, 3 * np.pi, count // 2)
    arm = 0.95 * np.stack([np.cos(turn), np.sin(turn)], 1) * (turn / turn.max())[:, None]
    return np.concatenate([arm, -arm])
