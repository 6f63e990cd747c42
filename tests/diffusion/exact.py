"""Data whose exact denoiser E[x_0 | x_t] is known in closed form."""

import math

import torch

from diffusion.scheduler import at


class Mixture:
    """Normal distributions of one spread: weights (K,), centres (K, D), standard deviation `std`."""

    def __init__(self, weights, centres, std):
        self.weights, self.centres, self.std = torch.tensor(weights), torch.tensor(centres), std

    def denoiser(self, scheduler):
        """Given x_t, each centre is as likely as Bayes' rule says, and x_0 regresses on x_t within it."""

        def denoise(x, t):
            alpha_bar = at(scheduler.alpha_bar, t, x).double()
            spread = alpha_bar * self.std**2 + 1 - alpha_bar  # variance of x_t within a centre
            away = x.double()[:, None] - alpha_bar[..., None].sqrt() * self.centres  # (B, K, D)
            likely = (self.weights.log() - away.square().sum(-1) / (2 * spread)).softmax(1)  # (B, K)
            gain = alpha_bar.sqrt() * self.std**2 / spread
            within = self.centres + gain[..., None] * away
            return (likely[..., None] * within).sum(1).to(x.dtype)

        return denoise

    def nearest(self, x):
        """Which centre each of (B, D) belongs to."""
        return torch.cdist(x, self.centres.to(x.dtype)).argmin(1)

    @property
    def mean(self):
        return self.weights @ self.centres

    @property
    def covariance(self):
        away = self.centres - self.mean
        return self.std**2 * torch.eye(len(away[0])) + (self.weights[:, None] * away).T @ away


GAUSSIAN = Mixture([1.0], [[0.8]], 0.3)
# Two near centres and one apart, of unequal weights.
THREE = Mixture([0.5, 0.3, 0.2], [[1.0, 0.5], [-0.5, 0.8], [0.2, -1.0]], 0.15)


def flow(x, scheduler, start=-1):
    """Where the probability flow carries x (B, 1) at step `start` for GAUSSIAN: quantiles stay quantiles. float64."""
    alpha_bar = scheduler.alpha_bar[start].double()
    mean, spread = alpha_bar.sqrt() * 0.8, (alpha_bar * 0.3**2 + 1 - alpha_bar).sqrt()
    return 0.8 + 0.3 * (x.double() - mean) / spread


def slope(counts, errors):
    """Of the line through (log count, log error)."""
    x, y = (torch.tensor([math.log(value) for value in values], dtype=torch.float64) for values in (counts, errors))
    return (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()
