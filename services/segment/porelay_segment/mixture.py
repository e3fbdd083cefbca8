"""Gaussian mixtures in a few dimensions: learning, and the full likelihood of each component."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = NDArray[np.floating[Any]]

TOLERANCE = 1e-5
MOST_ROUNDS = 300


@dataclass(frozen=True)
class Mixture:
    """Weights (k,), means (k, f) and covariances (k, f, f) of the components."""

    weights: Floats
    means: Floats
    covariances: Floats


def scores(mixture: Mixture, values: Values) -> Values:
    """Return log weight + log likelihood (k, ...) of each component for `values` (f, ...), in their precision.

    That is minus half of (the squared Mahalanobis distance + log determinant), and the prior: without the latter two
    a wide component would lose voxels to a narrow one. Sums run in a fixed order, so a voxel's score does not depend
    on the block it comes in.
    """
    kind = values.dtype.type
    out = np.empty((len(mixture.weights), *values.shape[1:]), values.dtype)
    for number, (weight, mean, covariance) in enumerate(
        zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ):
        lower = np.linalg.cholesky(covariance)
        whiten = np.linalg.inv(lower)
        square = np.zeros_like(out[number])
        for row in range(len(mean)):
            term = kind(whiten[row, 0]) * (values[0] - kind(mean[0]))
            for column in range(1, row + 1):
                term += kind(whiten[row, column]) * (values[column] - kind(mean[column]))
            square += term * term
        constant = np.log(max(weight, 1e-300)) - np.log(np.diag(lower)).sum() - 0.5 * len(mean) * np.log(2 * np.pi)
        out[number] = kind(constant) - kind(0.5) * square
    return out


def posteriors(score: Values) -> tuple[Floats, float]:
    """Return the probability (k, n) of each component for each sample, and the mean log likelihood."""
    top = score.max(axis=0)
    likelihood = np.exp(score - top)
    total = likelihood.sum(axis=0)
    return likelihood / total, float((top + np.log(total)).mean())


def learn(samples: Floats, start: NDArray[np.int64], floor: Floats) -> tuple[Mixture, bool]:
    """Learn a mixture of samples (f, n) by expectation and maximisation, and whether it converged.

    `start` (n,) is the first guess of each sample's component; `floor` (f, f) is added to each covariance.
    """
    share = (start == np.arange(int(start.max()) + 1)[:, None]).astype(np.float64)
    mixture = maximised(samples, share, floor)
    before = -np.inf
    for _ in range(MOST_ROUNDS):
        share, likelihood = posteriors(scores(mixture, samples))
        mixture = maximised(samples, share, floor)
        if likelihood - before < TOLERANCE:
            return mixture, True
        before = likelihood
    return mixture, False


def maximised(samples: Floats, share: Floats, floor: Floats) -> Mixture:
    """Return the mixture that fits samples (f, n) best, given each one's share (k, n) in the components."""
    weight = share.sum(axis=1) + 1e-12
    means = np.einsum("kn,fn->kf", share, samples) / weight[:, None]
    covariances = np.empty((len(weight), len(samples), len(samples)))
    for number, mean in enumerate(means):
        centred = samples - mean[:, None]
        covariances[number] = np.einsum("n,fn,gn->fg", share[number], centred, centred) / weight[number] + floor
    return Mixture(weight / weight.sum(), means, covariances)


def reweighted(mixture: Mixture, samples: Floats) -> Mixture:
    """Return the mixture with the weights that fit samples (f, n) best, means and covariances as they are."""
    before = -np.inf
    for _ in range(MOST_ROUNDS):
        share, likelihood = posteriors(scores(mixture, samples))
        mixture = Mixture(share.mean(axis=1), mixture.means, mixture.covariances)
        if likelihood - before < TOLERANCE:
            break
        before = likelihood
    return mixture
