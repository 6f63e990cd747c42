"""A part of an image drawn anew, by a model that was trained to draw whole ones.

B batch.
"""

import torch
from torch import Tensor

from diffusion.noise import Generators, randn
from diffusion.samplers import Denoiser, OnStep, Sampler, Update
from diffusion.scheduler import NoiseScheduler, at
from limits import whole

MOST_RESAMPLINGS = 1000


class RePaint(Sampler):
    """Another sampler, held to what is known: Lugmayr et al. 2022, "RePaint", Algorithm 1.

    Wherever x_0 is known it takes the place of the predicted one. x_t there is then drawn from q(x_t | x_0), Eq. 8a, by
    a stochastic sampler; by a deterministic one it is x_0 mixed with the noise that the sampler began with.

    With one resampling, the open part is drawn to fit what is known only as far as each step sees it, and the two may
    not agree. With more, each step is taken again from noise that was put back.

    Args:
        sampler: walks from noise to data.
        x0: what is known, (B, ...) or what broadcasts to it, in the range of the data.
        known: where, True or False, likewise.
        resampling: U, how often each step is taken.
    """

    def __init__(self, sampler: Sampler, x0: Tensor, known: Tensor, resampling: int = 1):
        super().__init__(sampler.timesteps)
        whole(1, MOST_RESAMPLINGS, resampling=resampling)
        self.sampler, self.x0, self.known, self.resampling = sampler, x0, known, resampling

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoiser,
        x: Tensor,
        scheduler: NoiseScheduler,
        steps: int,
        generator: Generators = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        visited = self.timesteps(scheduler, steps)
        mixed = scheduler.add_noise(self.x0.expand_as(x), x, torch.full(x.shape[:1], visited[0], device=x.device))
        x = torch.where(self.known, mixed, x)

        def held(x: Tensor, t: Tensor) -> Tensor:
            return torch.where(self.known, self.x0, denoise(x, t))

        update = self.update(scheduler, generator, held)
        for count, step in enumerate(visited, 1):
            last = count == len(visited)
            t = torch.full(x.shape[:1], step, device=x.device)
            following = torch.full_like(t, -1 if last else visited[count])
            for again in range(1 if last else self.resampling):
                if again:
                    x = noised_again(x, scheduler, following, t, generator)
                    update = self.update(scheduler, generator, held)  # what a multistep solver kept is of another path
                x0 = held(x, t)
                if not last:
                    x = update(x, x0, t, following)
            if on_step is not None:
                on_step(count, x0)
        return x0

    def update(self, scheduler: NoiseScheduler, generator: Generators, denoise: Denoiser) -> Update:
        return self.sampler.update(scheduler, generator, denoise)


def noised_again(
    x: Tensor, scheduler: NoiseScheduler, earlier: Tensor, later: Tensor, generator: Generators = None
) -> Tensor:
    """x at step `earlier` (B,) -> x at a noisier step `later` (B,), drawn from the forward process between the two.

    q(x_t | x_s), Ho et al. 2020, Eq. 2, over all steps from s to t at once.
    """
    log_alpha = at(scheduler.log_alpha_bar, later, x) - at(scheduler.log_alpha_bar, earlier, x)
    noise = randn(x.shape, generator, x.device, x.dtype)
    return (log_alpha / 2).exp() * x + (-torch.expm1(log_alpha)).sqrt() * noise
