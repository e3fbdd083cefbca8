"""What samples are compared with the training data by: volume fractions and two-point correlations along the axes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_slicegan_trainer.data import AXES, PLANE, Axis, Images

MOST_SLICES = 160
LEAST_FRACTION = 0.002
LEAST_S2 = 0.0005


@dataclass(frozen=True)
class Descriptors:
    """`fractions` (phases,), 0 to 1; `s2` (axes z y x, phases, lags 0 ... R voxels), probabilities.

    An axis along which there is no data holds NaN.
    """

    fractions: NDArray[np.float64]
    s2: NDArray[np.float64]

    def isotropic(self) -> "Descriptors":
        """Return the same with the mean of the axes in place of each of them."""
        mean = np.nanmean(self.s2, axis=0)
        return Descriptors(self.fractions, np.broadcast_to(mean, self.s2.shape))


def describe(images: Images, lags: int) -> Descriptors:
    """Measure label images: pairs of voxels in the same slice, never across a border.

    S2_p(r) is the probability that both ends of a rod of length r lie in phase p, so S2_p(0) is the fraction of p.
    Torquato, Random Heterogeneous Materials (2002), chapter 2.
    """
    hits = np.zeros((len(AXES), images.outputs, lags + 1))
    pairs = np.zeros((len(AXES), lags + 1))
    for axis in images.directions:
        stack = _thinned(images.stacks[axis])
        for along, name in zip((1, 2), PLANE[axis], strict=True):
            rods = np.ascontiguousarray(np.moveaxis(stack, along, 0))
            length = len(rods)
            pairs[AXES.index(name)] += np.maximum(length - np.arange(lags + 1), 0) * (stack.size // length)
            for phase in range(images.outputs):
                hits[AXES.index(name), phase] += _coincidences(rods == phase, lags)
    with np.errstate(invalid="ignore"):
        s2 = np.where(pairs[:, None] > 0, hits / np.where(pairs > 0, pairs, 1)[:, None], np.nan)
    return Descriptors(np.nanmean(s2[:, :, 0], axis=0), s2)


def of_volumes(volumes: NDArray[np.uint8], outputs: int, lags: int) -> Descriptors:
    """Measure label volumes (b, z, y, x) together."""
    flat: Mapping[Axis, NDArray[Any]] = {
        "z": volumes.reshape(-1, *volumes.shape[2:]),
        "y": np.moveaxis(volumes, 2, 1).reshape(-1, volumes.shape[1], volumes.shape[3]),
    }
    return describe(Images(flat, "labels", outputs), lags)


def _thinned(stack: NDArray[Any]) -> NDArray[Any]:
    step = -(-len(stack) // MOST_SLICES)
    return stack[::step]


def _coincidences(rods: NDArray[np.bool_], lags: int) -> NDArray[np.int64]:
    """Count, for each lag along axis 0, the pairs that are both set. Bits are packed eight to a byte: fast."""
    packed = np.packbits(rods.reshape(len(rods), -1), axis=1)
    reached = min(lags, len(packed) - 1)
    counts = np.zeros(lags + 1, dtype=np.int64)
    for lag in range(reached + 1):
        counts[lag] = np.bitwise_count(packed[lag:] & packed[: len(packed) - lag]).sum(dtype=np.int64)
    return counts


def noise_floor(reference: Descriptors) -> float:
    """Return the S2 error that uncorrelated noise of the right fractions has: what any use of a generator must beat."""
    return s2_error(reference, Descriptors(reference.fractions, _noise(reference)))


def _noise(reference: Descriptors) -> NDArray[np.float64]:
    return np.broadcast_to((reference.fractions**2)[None, :, None], reference.s2.shape)


def fraction_error(real: Descriptors, other: Descriptors) -> float:
    """Return the largest absolute difference of a volume fraction."""
    return float(np.abs(real.fractions - other.fractions).max())


def s2_error(real: Descriptors, other: Descriptors) -> float:
    """Return the mean absolute difference of S2 over axes, phases and lags from 1 on, where both are known."""
    return float(np.nanmean(np.abs(real.s2 - other.s2)[:, :, 1:]))


@dataclass(frozen=True)
class Tolerance:
    """How well the training data themselves are known: samples no farther off than this are converged."""

    fraction: float
    s2: float


def tolerance(images: Images, lags: int, *, isotropic: bool) -> Tolerance:
    """Return the standard error of the training data's own descriptors.

    Two disjoint halves differ by twice the standard error of the whole; the root mean square is taken over the halves
    along every axis of every stack.
    """
    fraction, s2 = [], []
    for halves in _halves(images):
        low, high = (describe(half, lags) for half in halves)
        if isotropic:
            low, high = low.isotropic(), high.isotropic()
        fraction.append(fraction_error(low, high) / 2)
        s2.append(s2_error(low, high) / 2)
    return Tolerance(max(_rms(fraction), LEAST_FRACTION), max(_rms(s2), LEAST_S2))


def _halves(images: Images) -> list[tuple[Images, Images]]:
    found = []
    for axis, stack in images.stacks.items():
        for along in range(3):
            middle = stack.shape[along] // 2
            if middle < 1:
                continue
            parts = np.split(stack, [middle], axis=along)
            low, high = (Images({axis: part}, images.kind, images.outputs, images.window) for part in parts)
            found.append((low, high))
    return found


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
