"""KID of features: like FID, but without a bias that depends on the number of samples (Binkowski et al. 2018).

N images, F features.
"""

import warnings

import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance

from metrics.features_as_given import FeaturesAsGiven

SUBSET = 1000  # images in each subset, at most


def kernel_distance(real: Tensor, samples: Tensor, seed: int = 0) -> float:
    """KID (Binkowski et al. 2018) of two sets of features, (N, F) and (N', F), in float64.

    The squared maximum mean discrepancy under the kernel (x y / F + 1)^3: the mean over 100 pairs of subsets, which
    `seed` draws. The global random state is left as it was. Of several processes each gives all features.
    """
    size = min(SUBSET, len(real), len(samples))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
        metric = KernelInceptionDistance(
            feature=FeaturesAsGiven(real.shape[1]), subset_size=size, sync_on_compute=False
        )
        torch.manual_seed(seed)  # of the fork
        metric.update(real.double(), real=True)
        metric.update(samples.double(), real=False)
        return metric.compute()[0].item()
