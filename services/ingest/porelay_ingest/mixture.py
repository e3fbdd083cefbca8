"""A Gaussian mixture fitted to a histogram by expectation maximisation (Dempster, Laird and Rubin 1977)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BINS = 256
STEPS = 500


@dataclass(frozen=True)
class Mixture:
    """Weights, means (ascending) and standard deviations, and the mean log likelihood of a voxel."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    likelihood: float

    def separations(self) -> NDArray[np.float64]:
        """Return the distance of neighbouring means over the rms of their standard deviations."""
        gap = np.diff(self.means)
        return np.asarray(gap / np.sqrt((self.sigmas[1:] ** 2 + self.sigmas[:-1] ** 2) / 2))


def fit(levels: NDArray[Any], counts: NDArray[Any], classes: int) -> Mixture:
    """Return the likeliest of a few fits from fixed starts; the same histogram gives the same mixture."""
    x, weight = joined(levels, counts)
    spread = np.linspace(0.5, classes - 0.5, classes) / classes
    by_rank = np.interp(spread, np.cumsum(weight), x)
    by_range = x[0] + spread * (x[-1] - x[0])
    return max((_climb(x, weight, start) for start in (by_rank, by_range)), key=lambda mixture: mixture.likelihood)


def joined(levels: NDArray[Any], counts: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return levels and shares of a histogram of at most MOST_BINS bins."""
    step = -(-len(levels) // MOST_BINS)
    edges = np.arange(0, len(levels), step)
    total = np.add.reduceat(counts.astype(np.float64), edges)
    centres = np.add.reduceat(levels.astype(np.float64), edges) / np.diff(np.append(edges, len(levels)))
    return centres, total / total.sum()


def _climb(x: NDArray[np.float64], weight: NDArray[np.float64], means: NDArray[np.float64]) -> Mixture:
    width = max((x[-1] - x[0]) / max(len(x) - 1, 1), 1e-12)
    sigmas = np.full(len(means), max((x[-1] - x[0]) / (2 * len(means)), width))
    weights = np.full(len(means), 1 / len(means))
    last = -np.inf
    for _ in range(STEPS):
        density = weights * np.exp(-0.5 * ((x[:, None] - means) / sigmas) ** 2) / (sigmas * np.sqrt(2 * np.pi)) + 1e-300
        total = density.sum(axis=1)
        likelihood = float(weight @ np.log(total))
        share = density / total[:, None] * weight[:, None]
        weights = share.sum(axis=0) + 1e-12
        means = (share * x[:, None]).sum(axis=0) / weights
        sigmas = np.sqrt((share * (x[:, None] - means) ** 2).sum(axis=0) / weights + width**2 / 12)
        if likelihood - last < 1e-8:
            break
        last = likelihood
    order = np.argsort(means)
    return Mixture(weights[order] / weights.sum(), means[order], sigmas[order], likelihood)
