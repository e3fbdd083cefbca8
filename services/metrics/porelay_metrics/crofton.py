"""Interface areas by counting pairs of unlike voxels along thirteen directions (Crofton).

The chance that a pair a distance r apart straddles the interface grows as S_V r / 2 for an isotropic one; counts at
one and at two steps give its slope at 0, free of the curvature that biases one step alone. Directions are weighted
by the part of the sphere that lies nearest to them, which depends on the voxel's shape (Ohser and Muecklich 2000).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.jit import kernel
from porelay_metrics.labels import Labels
from porelay_schemas.base import Axis3, VoxelUm

DIRECTIONS = np.array(
    [[0, 0, 1]] + [[0, 1, x] for x in (-1, 0, 1)] + [[1, y, x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
)
"""Steps (z, y, x) to half of the 26 neighbours."""
REACH = 2


def count_pairs(labels: Labels) -> NDArray[np.int64]:
    """Count the pairs of unlike labels in a volume: (direction, steps - 1, first label, second label)."""

    def count(block: NDArray[np.uint8], start: Axis3, stop: Axis3) -> NDArray[np.int64]:
        phases = len(labels.phases)
        counts = np.zeros((len(DIRECTIONS), REACH, phases, phases), np.int64)
        _count(block, start, stop, DIRECTIONS, counts)
        return counts

    return labels.total(count, before=REACH, after=REACH)


@kernel
def _count(block: Any, start: Axis3, stop: Axis3, directions: Any, counts: Any) -> None:
    """Count the pairs that begin in a part of a block."""
    depth, height, width = block.shape
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            here = block[z, y]
            for direction in range(directions.shape[0]):
                for step in range(1, counts.shape[1] + 1):
                    z1, y1 = z + step * directions[direction, 0], y + step * directions[direction, 1]
                    if z1 >= depth or y1 < 0 or y1 >= height:
                        continue
                    shift = step * directions[direction, 2]
                    there, tally = block[z1, y1], counts[direction, step - 1]
                    for x in range(max(start[2], -shift), min(stop[2], width - shift)):
                        if here[x] != there[x + shift]:
                            tally[here[x], there[x + shift]] += 1


def areas(counts: NDArray[np.int64], shape: Axis3, voxel_um: VoxelUm) -> NDArray[np.float64]:
    """Return the interface area of each pair of phases per volume, in 1/um: (phase, phase), symmetric.

    `counts` are those of a whole volume of that shape, which has at least three voxels along each axis.
    """
    shares = np.empty(counts.shape)
    for index, direction in enumerate(DIRECTIONS):
        for step in range(1, REACH + 1):
            pairs = np.prod([size - step * abs(part) for size, part in zip(shape, direction, strict=True)])
            shares[index, step - 1] = counts[index, step - 1] / pairs
    shares = shares + shares.swapaxes(2, 3)
    lengths = np.linalg.norm(DIRECTIONS * np.array(voxel_um), axis=1)
    slopes = (2 * shares[:, 0] - shares[:, 1] / 2) / lengths[:, None, None]
    return np.asarray(2 * np.tensordot(weights(voxel_um), slopes, 1))


def weights(voxel_um: VoxelUm) -> NDArray[np.float64]:
    """Return the share of the sphere that is nearest to each direction; they sum to 1."""
    from scipy.spatial import SphericalVoronoi

    points = np.concatenate([DIRECTIONS, -DIRECTIONS]) * np.array(voxel_um, float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    shares = SphericalVoronoi(points).calculate_areas() / (4 * np.pi)
    return np.asarray(shares[: len(DIRECTIONS)] + shares[len(DIRECTIONS) :])
