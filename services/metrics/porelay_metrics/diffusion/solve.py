"""Conjugate gradients that stop on the error of the conductance itself.

Starting from the linear ramp, each step lowers the conductance by a known amount, and what is still to come is the
energy norm of the error (Hestenes and Stiefel 1952): at most the preconditioned residual over the smallest
eigenvalue, for which the smallest Ritz value stands in (Meurant and Tichy 2013). The error of the conductance is the
square of the field's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from porelay_metrics.diffusion import kernels
from porelay_metrics.diffusion.hierarchy import Level, coarser
from porelay_metrics.diffusion.multigrid import cycle

REFRESH = 1e-6
"""The residual is computed anew when its square has fallen by so much: single precision drifts."""
SAFETY = 2.0
"""The smallest Ritz value comes down to the smallest eigenvalue: early estimates are low by up to this factor."""


@dataclass(frozen=True)
class Solution:
    """Conductance of the volume in units of one voxel face, an estimate of its error, and the iterations it took."""

    conductance: float
    error: float
    iterations: int
    converged: bool


def solve(level: Level, edges: tuple[float, float, float], *, tolerance: float, max_iterations: int) -> Solution:
    """Return the conductance to a relative error of `tolerance`, if `max_iterations` are enough.

    `edges` are the lengths of a voxel along (0, 1, 2), axis 0 being that of the flux. Vectors are in single precision,
    the solution and all sums in double.
    """
    solution = np.zeros(level.diagonal.shape)
    residual = np.zeros_like(level.diagonal)
    fresh, value = kernels.balance(solution, residual, level.diagonal, *level.faces)
    if fresh == 0:
        return Solution(value, 0.0, 0, True)
    below = coarser(level, edges)
    image, direction = np.zeros_like(residual), np.zeros_like(residual)
    steps: list[float] = []
    shares: list[float] = []
    square, gain, error = fresh, inf, inf
    while True:
        cycle(level, image, residual, below)
        previous, gain = gain, kernels.dot(residual, image)
        error = SAFETY * gain / smallest(steps, shares) if steps else inf
        if error <= tolerance * value or square == 0 or len(steps) == max_iterations:
            break
        shares.append(gain / previous)
        kernels.turn(direction, image, np.float32(shares[-1]))
        steps.append(gain / kernels.apply(direction, image, level.diagonal, *level.faces))
        square = kernels.advance(solution, residual, direction, image, np.float32(steps[-1]))
        value -= steps[-1] * gain
        if square < REFRESH * fresh:
            square = fresh = kernels.balance(solution, residual, level.diagonal, *level.faces)[0]
    value = kernels.balance(solution, residual, level.diagonal, *level.faces)[1]
    return Solution(value, error, len(steps), error <= tolerance * value)


def smallest(steps: Sequence[float], shares: Sequence[float]) -> float:
    """Return the smallest Ritz value: that of the Lanczos matrix which the coefficients of the iteration make up."""
    inverse, share = 1 / np.asarray(steps), np.asarray(shares[1:])
    diagonal = inverse + np.append(0, share * inverse[:-1])
    return float(eigvalsh_tridiagonal(diagonal, np.sqrt(share) * inverse[:-1], select="i", select_range=(0, 0))[0])
