"""Few steps from many: a student learns to take in one step of DDIM what its teacher takes in several.

Salimans & Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models", Algorithm 2, from start to end at
once and along the teacher's own way from noise, as Luhman & Luhman 2021, "Knowledge Distillation in Iterative
Generative Models": what a student is trained on is what it sees when it samples, and of the data it needs the
conditions alone.

    teacher   x_T ──► ──► ──► x ──► ──► ──► x_0        2 x 3 steps, without gradients
    student   x_T ──────────► x ──────────► x_0        2 steps

B batch, N steps of the student.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from diffusion.noise_schedule import MAX_TIMESTEPS
from diffusion.samplers import DDIMSampler, Denoiser, Sampler
from diffusion.scheduler import NoiseScheduler
from diffusion.timesteps import GivenTimesteps
from limits import whole

MOST_SUBSTEPS = 1_000_000


class Pairs(NamedTuple):
    """What to train on in place of data, noise and steps (`diffusion.loss.squared_errors`), (N * B, ...) and (N * B,).

    `add_noise` of them is where the teacher was; one step of DDIM with this x_0 leads to where it came. The steps of
    one sample lie B apart.
    """

    x0: Tensor
    noise: Tensor
    t: Tensor


class Distillation:
    """A teacher, and how many of its steps are one of the student's.

    Args:
        teacher: a trained model of the same kind and noise schedule: a run's folder, or a name in `pretrained/`.
        substeps: steps of the teacher for one of the student, evenly spaced.
    """

    def __init__(self, teacher: str, substeps: int = 8):
        whole(1, MOST_SUBSTEPS, substeps=substeps)
        self.teacher, self.substeps = teacher, substeps

    def check(self, sampler: Sampler) -> None:
        """Raises ValueError for a student's sampler whose steps are not those of DDIM without noise."""
        if not isinstance(sampler, DDIMSampler) or sampler.eta > 0:
            raise ValueError(
                f"distillation trains the steps of a DDIMSampler with eta 0; set sampler to that, in place of "
                f"{type(sampler).__name__}" + (f" with eta {sampler.eta:g}" if isinstance(sampler, DDIMSampler) else "")
            )


@torch.no_grad()
def teacher_pairs(teacher: Denoiser, x: Tensor, scheduler: NoiseScheduler, visited: list[int], substeps: int) -> Pairs:
    """What a student should learn at each of the steps that it visits.

    Args:
        teacher: predicts x_0 (B, ...) from x_t (B, ...) and steps t (B,).
        x: the noise (B, ...) that sampling starts from.
        scheduler: of both.
        visited: the student's N steps, from the noisiest down.
        substeps: steps of the teacher for one of the student.

    Raises ValueError where the teacher's steps do not fit between the student's.
    """
    fine = _fine(visited, substeps)
    seen: list[Tensor] = []

    def watched(x: Tensor, t: Tensor) -> Tensor:
        seen.append(x)
        return teacher(x, t)

    x0 = DDIMSampler(timesteps=GivenTimesteps(fine))(watched, x, scheduler, len(fine))
    starts = seen[::substeps]
    t = [torch.full(x.shape[:1], step, device=x.device) for step in visited]
    ends = zip(starts, starts[1:], t, t[1:], strict=False)
    targets = torch.cat([*(_x0_between(scheduler, *end) for end in ends), x0])
    x_t, steps = torch.cat(starts), torch.cat(t)
    return Pairs(targets, scheduler.noise_from_x0(x_t, targets, steps), steps)


def _fine(visited: list[int], substeps: int) -> list[int]:
    """The teacher's steps: from each of the student's, towards the next one, and from the last to before step 0."""
    whole(1, MOST_SUBSTEPS, substeps=substeps)
    for step in visited:
        whole(0, MAX_TIMESTEPS - 1, visited=step)
    fine: list[int] = []
    for here, there in pairwise([*visited, -1]):
        if here - there < substeps:
            raise ValueError(
                f"visited={visited}: distillation with substeps={substeps} finds {here - there} steps from {here} to "
                f"{there}; take fewer substeps, fewer sampling_steps, or sampler.timesteps TrailingTimesteps"
            )
        fine += [here - number * (here - there) // substeps for number in range(substeps)]
    return fine


def _x0_between(scheduler: NoiseScheduler, x: Tensor, x_next: Tensor, t: Tensor, following: Tensor) -> Tensor:
    """The x_0 with which one step of DDIM leads from x at t to x_next: Salimans & Ho 2022, Algorithm 2."""
    signal, sigma = scheduler.signal_and_noise(t, x)
    signal_next, sigma_next = scheduler.signal_and_noise(following, x)
    kept = sigma_next / sigma
    return (x_next - kept * x) / (signal_next - kept * signal)
