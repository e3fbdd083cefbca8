"""Two-point correlation S2: the chance that two points a vector apart both lie in a phase.

No wrap-around: pairs are counted inside the volume, by FFT with as many zeros as the longest lag, and divided by the
number of pairs there are. S2(0) is the volume fraction.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3, VoxelUm

BYTES_PER_PADDED_VOXEL = 12
BYTES_PER_LAG = 64
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class TwoPoint:
    """S2 of a phase: `(lag in um, S2)` along each of (z, y, x), and averaged over all directions."""

    axes: tuple[Curve, Curve, Curve]
    radial: Curve


def lags(shape: Axis3, longest: int) -> Axis3:
    """Return the longest lag in voxels along each axis: at most half of the volume's length."""
    z, y, x = (min(longest, size // 2) for size in shape)
    return z, y, x


def padded(shape: Axis3, longest: int) -> Axis3:
    """Return the shape that is transformed."""
    from scipy.fft import next_fast_len

    z, y, x = (int(next_fast_len(size + lag, real=True)) for size, lag in zip(shape, lags(shape, longest), strict=True))
    return z, y, x


def bytes_needed(shape: Axis3, longest: int) -> int:
    """Return the peak memory of one S2: its transform, and averaging over its lags."""
    z, y, x = lags(shape, longest)
    return BYTES_PER_PADDED_VOXEL * prod(padded(shape, longest)) + BYTES_PER_LAG * (2 * z + 1) * (2 * y + 1) * (x + 1)


def two_point(mask: NDArray[np.bool_], voxel_um: VoxelUm = (1.0, 1.0, 1.0), longest: int = 64) -> TwoPoint:
    """Return S2 of the phase where `mask` (z, y, x) is true, up to `longest` voxels along each axis.

    The radial average ends where the shortest axis does. In single precision: right to about 1e-6.
    """
    z, y, x = mask.shape
    reach = lags((z, y, x), longest)
    pairs = _pairs((z, y, x), reach)
    joint = _joint(mask, reach, padded((z, y, x), longest)) / pairs
    middle = (reach[0], reach[1])
    joint[middle[0], middle[1], 0] = mask.mean()
    lines = (joint[middle[0] :, middle[1], 0], joint[middle[0], middle[1] :, 0], joint[middle[0], middle[1], :])
    axes = [
        (np.arange(len(line), dtype=np.float64) * edge, line.copy()) for line, edge in zip(lines, voxel_um, strict=True)
    ]
    return TwoPoint((axes[0], axes[1], axes[2]), _radial(joint, pairs, reach, voxel_um))


def _joint(mask: NDArray[np.bool_], reach: Axis3, size: Axis3) -> NDArray[np.float64]:
    """Return the number of pairs that both lie in the phase, at lags -Z..Z, -Y..Y, 0..X."""
    from scipy import fft

    spectrum = fft.rfftn(mask.astype(np.float32), size)
    spectrum *= spectrum.conj()
    found = fft.irfftn(spectrum, size)[:, :, : reach[2] + 1]
    for axis in (0, 1):
        found = np.take(found, np.arange(-reach[axis], reach[axis] + 1), axis, mode="wrap")
    return np.asarray(found, np.float64)


def _pairs(shape: Axis3, reach: Axis3) -> NDArray[np.float64]:
    """Return how many pairs of voxels there are at each lag."""
    z, y = (size - abs(np.arange(-lag, lag + 1)) for size, lag in zip(shape[:2], reach[:2], strict=True))
    x = shape[2] - np.arange(reach[2] + 1)
    return np.asarray(z[:, None, None] * y[None, :, None] * x[None, None, :], np.float64)


def _radial(joint: NDArray[np.float64], pairs: NDArray[np.float64], reach: Axis3, voxel_um: VoxelUm) -> Curve:
    """Average over shells one shortest edge thick; a shell stands at the mean distance of its pairs.

    Lags with x > 0 stand for their opposites too.
    """
    width = min(voxel_um)
    steps = (np.arange(-reach[0], reach[0] + 1), np.arange(-reach[1], reach[1] + 1), np.arange(reach[2] + 1))
    z, y, x = (step * edge for step, edge in zip(steps, voxel_um, strict=True))
    distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    limit = min((lag * edge for lag, edge in zip(reach, voxel_um, strict=True) if lag > 0), default=0.0)
    shells = np.rint(distance / width).astype(np.int64)
    kept = distance <= limit * (1 + 1e-9)
    weight = pairs * np.where(steps[2] > 0, 2, 1)
    number = np.bincount(shells[kept], weights=weight[kept])
    mean = np.bincount(shells[kept], weights=(weight * distance)[kept])
    value = np.bincount(shells[kept], weights=(weight * joint)[kept])
    some = number > 0
    return mean[some] / number[some], value[some] / number[some]
