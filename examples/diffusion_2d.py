"""Diffusion where it can be seen: points in a plane, a small network, and the project's own schedules and samplers.

    python -m examples.diffusion_2d

About a minute on one core. Writes, into runs/diffusion_2d: forward_and_reverse.gif, points that become noise and noise
that becomes points; guidance.png, the classes of a mixture at growing guidance scales; samplers.png, the paths of every
sampler from the same noise; and few_steps.png, one and two steps before and after distillation.

B batch, K classes, N steps.
"""

import argparse
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from diffusion.distillation import teacher_pairs
from diffusion.guidance import drop_labels, guided
from diffusion.loss import squared_errors
from diffusion.noise_schedule import FlowMatchingSchedule
from diffusion.prediction_type import FlowPrediction
from diffusion.samplers import DDIMSampler, DDPMSampler, Denoiser, DPMSolver, EulerSampler, HeunSampler, Sampler
from diffusion.scheduler import NoiseScheduler
from diffusion.timestep_distribution import LogitNormal
from diffusion.timesteps import TrailingTimesteps
from limits import whole
from networks.embeddings import SinusoidalEmbedding, StepEmbedding

T = 1000
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0")
SAMPLERS: dict[str, tuple[Sampler, int]] = {  # with steps that evaluate the network about ten times
    "Euler, 10 steps": (EulerSampler(), 10),
    "Heun, 6 steps": (HeunSampler(), 6),
    "DPM-Solver++, 10 steps": (DPMSolver(), 10),
    "DDIM with eta 1, 10 steps": (DDIMSampler(1.0, TrailingTimesteps()), 10),
    "DDPM, 100 steps": (DDPMSampler(), 100),
}
Toy = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
"""Draws points (B, 2) within about [-1, 1] and their classes (B,)."""


def moons(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two half circles that reach into each other."""
    label = torch.randint(2, (count,), generator=generator)
    turn = torch.pi * (torch.rand(count, generator=generator) + label)
    middle = torch.stack([label - 0.5, 0.5 * label - 0.25], 1)
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    return 0.6 * (circle + middle) + 0.04 * torch.randn(count, 2, generator=generator), label


def spirals(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three arms around the middle."""
    label = torch.randint(3, (count,), generator=generator)
    along = torch.rand(count, generator=generator).sqrt()
    turn = 2 * torch.pi * (0.75 * along + label / 3)
    arm = along[:, None] * torch.stack([turn.cos(), turn.sin()], 1)
    return arm + 0.03 * torch.randn(count, 2, generator=generator), label


def mixture(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Six normal distributions on a circle, opposite ones of one class; neighbours overlap."""
    place = torch.randint(6, (count,), generator=generator)
    turn = torch.pi / 3 * place
    centre = 0.7 * torch.stack([turn.cos(), turn.sin()], 1)
    return centre + 0.2 * torch.randn(count, 2, generator=generator), place % 3


TOYS: dict[str, tuple[Toy, int]] = {"moons": (moons, 2), "spirals": (spirals, 3), "mixture": (mixture, 3)}


class PointDenoiser(nn.Module):
    """Points (B, 2), steps (B,), classes (B,) from 0 to K, where K is no class -> a prediction (B, 2)."""

    def __init__(self, num_classes: int, width: int = 128):
        super().__init__()
        self.embed_step = StepEmbedding(SinusoidalEmbedding(64), nn.Linear(64, width))
        self.embed_class = nn.Embedding(num_classes + 1, width)
        self.embed_point = nn.Linear(2, width)
        layers: list[nn.Module] = [layer for _ in range(3) for layer in (nn.SiLU(), nn.Linear(width, width))]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        return self.layers(self.embed_point(x) + self.embed_step(t) + self.embed_class(labels))


class PointModel:
    """A network that is trained on a toy, and what `diffusion` needs to draw from it."""

    def __init__(self, toy: Toy, num_classes: int):
        self.toy, self.num_classes = toy, num_classes
        self.scheduler, self.prediction_type = NoiseScheduler(FlowMatchingSchedule()(T)), FlowPrediction()
        self.network = PointDenoiser(num_classes)

    def train(self, updates: int, generator: torch.Generator, batch_size: int = 512) -> None:
        """Flow matching; one point in ten comes without its class."""

        def loss() -> Tensor:
            x0, labels = self.toy(batch_size, generator)
            labels = drop_labels(labels, self.num_classes, 0.1, generator)
            noise, t = torch.randn(x0.shape, generator=generator), LogitNormal()(T, (batch_size,), generator)
            return self._errors(x0, noise, t, labels)

        self._minimise(loss, updates, 3e-3)

    def distilled(self, steps: int, updates: int, generator: torch.Generator, batch_size: int = 256) -> "PointModel":
        """Another one, which does in N steps what this one does in 12."""
        student, visited = deepcopy(self), TrailingTimesteps()(self.scheduler, steps)

        def loss() -> Tensor:
            labels = torch.randint(self.num_classes, (batch_size,), generator=generator)
            noise = torch.randn(batch_size, 2, generator=generator)
            pairs = teacher_pairs(self.denoiser(labels), noise, self.scheduler, visited, 12 // steps)
            return student._errors(*pairs, labels.repeat(steps))

        student._minimise(loss, updates, 1e-3)
        return student

    def denoiser(self, labels: Tensor, guidance_scale: float = 1.0) -> Denoiser:
        """Predicts x_0 from x_t and t, guided towards classes (B,)."""
        predicted = guided(self.network, labels, self.num_classes, guidance_scale)
        return lambda x, t: self.prediction_type.x0(self.scheduler, x, predicted(x, t), t)

    def walk(self, sampler: Sampler, steps: int, x: Tensor, labels: Tensor, guidance_scale: float = 1.0) -> Tensor:
        """Where every point comes by, from noise x (B, 2) to the end: (N + 1, B, 2)."""
        denoise = self.denoiser(labels, guidance_scale)
        states: dict[int, Tensor] = {}

        def watched(x: Tensor, t: Tensor) -> Tensor:
            states[int(t[0])] = x  # a step that is tried before it is taken is overwritten
            return denoise(x, t)

        end = sampler(watched, x, self.scheduler, steps, torch.Generator().manual_seed(0))
        return torch.stack([*states.values(), end])

    def _errors(self, x0: Tensor, noise: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        def model(x: Tensor, t: Tensor) -> Tensor:
            return self.network(x, t, labels)

        return squared_errors(model, self.scheduler, self.prediction_type, x0, noise, t).mean()

    def _minimise(self, loss: Callable[[], Tensor], updates: int, lr: float) -> None:
        optimizer = torch.optim.Adam(self.network.parameters(), lr, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        for _ in range(updates):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
            schedule.step()


def sheet(titles: Sequence[str], side: float = 2.2, rows: int = 1) -> tuple[Figure, list[Any]]:
    """A figure of square panels in rows, each with its title: the figure and its axes."""
    columns = -(-len(titles) // rows)
    figure = Figure((side * columns, (side + 0.25) * rows), dpi=100, layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    for panel, title in zip(panels, titles, strict=False):
        panel.set_title(title, fontsize=9)
        panel.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal")
    return figure, panels


def drawn(figure: Figure) -> Image.Image:
    """A figure as an image."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def colours(labels: Tensor) -> list[str]:
    """One for each of (B,) classes."""
    return [COLOURS[label] for label in labels.tolist()]


def forward_and_reverse(models: dict[str, PointModel], points: int, frames: int) -> list[Image.Image]:
    """Frames in which each toy's points become noise, and new noise becomes points."""
    generator, ways = torch.Generator().manual_seed(1), []
    for model in models.values():
        x0, labels = model.toy(points, generator)
        noise, start = torch.randn(2, points, 2, generator=generator).unbind(0)
        steps = [round(place * (T - 1) / (frames - 1)) for place in range(frames)]
        forward = [
            x0,
            *(model.scheduler.add_noise(x0, noise, torch.full((points,), step)) for step in steps[1:]),
        ]
        ways.append((torch.stack([*forward, *model.walk(HeunSampler(), frames - 1, start, labels)]), labels))
    images = []
    for number in range(2 * frames):
        direction = "forward: noise is added" if number < frames else "reverse: the network takes it away"
        figure, panels = sheet(list(models), side=1.6)
        figure.suptitle(direction, fontsize=9)
        for panel, (way, labels) in zip(panels, ways, strict=True):
            panel.scatter(*way[number].T, s=1.5, c=colours(labels), linewidths=0)
        images.append(drawn(figure))
    return images


def write_gif(path: Path, images: Sequence[Image.Image], pauses: Sequence[int]) -> None:
    """An endless animation; `pauses` are numbers of images that stay for a second."""
    palette = images[0].quantize(10)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    times = [1000 if number in pauses else 70 for number in range(len(frames))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)


def guidance(model: PointModel, scales: Sequence[float], points: int) -> Image.Image:
    """The same noise and classes at every guidance scale."""
    generator = torch.Generator().manual_seed(2)
    data, labels = model.toy(points, generator)
    x = torch.randn(points, 2, generator=generator)
    figure, panels = sheet(["data", *(f"guidance scale {scale:g}" for scale in scales)])
    clouds = [data, *(model.walk(DPMSolver(), 20, x, labels, scale)[-1] for scale in scales)]
    for panel, cloud in zip(panels, clouds, strict=True):
        panel.scatter(*cloud.T, s=2, c=colours(labels), linewidths=0)
    return drawn(figure)


def sampler_paths(model: PointModel, points: int) -> Image.Image:
    """The paths of every sampler from the same noise, over the data."""
    generator = torch.Generator().manual_seed(3)
    data, _ = model.toy(2000, generator)
    x, labels = torch.randn(points, 2, generator=generator), torch.arange(points) % model.num_classes
    figure, panels = sheet(list(SAMPLERS), side=2.8)
    for panel, (sampler, steps) in zip(panels, SAMPLERS.values(), strict=True):
        way = model.walk(sampler, steps, x, labels)
        panel.scatter(*data.T, s=1, c="#dddddd", linewidths=0)
        for path, colour in zip(way.unbind(1), colours(labels), strict=True):
            panel.plot(*path.T, color=colour, linewidth=0.6, alpha=0.7)
        panel.scatter(*way[-1].T, s=6, c=colours(labels), linewidths=0, zorder=3)
    return drawn(figure)


def few_steps(model: PointModel, updates: int, points: int) -> Image.Image:
    """One and two steps of a model as it is, and of its students."""
    generator = torch.Generator().manual_seed(4)
    x, labels = torch.randn(points, 2, generator=generator), torch.arange(points) % model.num_classes
    clouds = {"12 steps": (model, 12)}
    for steps in (1, 2):
        count = f"{steps} step{'s' * (steps > 1)}"
        clouds |= {count: (model, steps), f"{count}, distilled": (model.distilled(steps, updates, generator), steps)}
    figure, panels = sheet(list(clouds))
    for panel, (one, steps) in zip(panels, clouds.values(), strict=True):
        end = one.walk(DDIMSampler(timesteps=TrailingTimesteps()), steps, x, labels)[-1]
        panel.scatter(*end.T, s=2, c=colours(labels), linewidths=0)
    return drawn(figure)


def main(args: list[str] | None = None) -> None:
    """`python -m examples.diffusion_2d`."""
    parser = argparse.ArgumentParser(prog="python -m examples.diffusion_2d", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/diffusion_2d"), help="(default runs/diffusion_2d)")
    parser.add_argument("--updates", type=int, default=1500, help="steps of each training (default 1500)")
    parser.add_argument("--points", type=int, default=600, help="drawn in each picture (default 600)")
    parser.add_argument("--frames", type=int, default=21, help="of the animation, each way (default 21)")
    parser.add_argument("--seed", type=int, default=0, help="another seed trains other networks (default 0)")
    options = parser.parse_args(args)
    try:
        whole(1, 1_000_000, updates=options.updates, points=options.points)
        whole(2, T, frames=options.frames)
        whole(0, 2**32 - 1, seed=options.seed)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    torch.manual_seed(options.seed)
    models = {name: PointModel(toy, classes) for name, (toy, classes) in TOYS.items()}
    for name, model in models.items():
        model.train(options.updates, torch.Generator().manual_seed(options.seed))
        print(f"trained on {name}", flush=True)
    images = forward_and_reverse(models, options.points, options.frames)
    write_gif(options.out / "forward_and_reverse.gif", images, (0, options.frames - 1, 2 * options.frames - 1))
    guidance(models["mixture"], (0, 1, 2, 4, 8), options.points).save(options.out / "guidance.png")
    sampler_paths(models["spirals"], min(30, options.points)).save(options.out / "samplers.png")
    few_steps(models["spirals"], max(1, options.updates // 3), options.points).save(options.out / "few_steps.png")
    print(f"drawn in {options.out}")


if __name__ == "__main__":
    main()
