"""FID of features: how far the samples of a generative model are from real images (Heusel et al. 2017).

N images, F features.
"""

from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from metrics.features_as_given import FeaturesAsGiven


def frechet_distance(real: Tensor, samples: Tensor) -> float:
    """FID (Heusel et al. 2017, Eq. 6) of two sets of features, (N, F) and (N', F), in float64.

    With means m and covariances S: |m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2)), the squared distance of two Gaussians. Of
    several processes each gives all features.
    """
    metric = FrechetInceptionDistance(feature=FeaturesAsGiven(real.shape[1]), sync_on_compute=False)
    metric.update(real.double(), real=True)
    metric.update(samples.double(), real=False)
    return metric.compute().item()
