"""Lines along which three or more phases meet, counted along the edges of voxels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.jit import kernel
from porelay_metrics.labels import Labels
from porelay_schemas.base import Axis3, VoxelUm

STAIRCASE = 1.5
"""Length of a line's staircase of voxel edges over its own, the mean over all directions: that of |x| + |y| + |z|."""


def count_edges(labels: Labels) -> NDArray[np.int64]:
    """Count the voxel edges inside a volume at which three or four phases meet: (axis, phase, phase, phase).

    Phases are in ascending order. An edge of three is counted once, at its triple; one of four at each of its four
    triples, and at (0, 0, 0).
    """

    def count(block: NDArray[np.uint8], start: Axis3, stop: Axis3) -> NDArray[np.int64]:
        phases = len(labels.phases)
        counts = np.zeros((3, phases, phases, phases), np.int64)
        _count(block, start, stop, counts)
        return counts

    return labels.total(count, after=1)


@kernel
def _count(block: Any, start: Axis3, stop: Axis3, counts: Any) -> None:
    depth, height, width = block.shape
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            for x in range(start[2], stop[2]):
                here = block[z, y, x]
                if y + 1 < height and x + 1 < width:
                    _meet(counts[0], here, block[z, y, x + 1], block[z, y + 1, x], block[z, y + 1, x + 1])
                if z + 1 < depth and x + 1 < width:
                    _meet(counts[1], here, block[z, y, x + 1], block[z + 1, y, x], block[z + 1, y, x + 1])
                if z + 1 < depth and y + 1 < height:
                    _meet(counts[2], here, block[z, y + 1, x], block[z + 1, y, x], block[z + 1, y + 1, x])


@kernel
def _meet(counts: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    if (a == b and c == d) or (a == c and b == d) or (a == d and b == c):
        return
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    between, other = low, low
    for label in (a, b, c, d):
        if label != low and label != high:
            if between == low:
                between = label
            elif label != between:
                other = label
    if between == low:
        return
    if other == low:
        counts[low, between, high] += 1
        return
    first, second = min(between, other), max(between, other)
    counts[0, 0, 0] += 1
    counts[low, first, second] += 1
    counts[low, first, high] += 1
    counts[low, second, high] += 1
    counts[first, second, high] += 1


def densities(counts: NDArray[np.int64], shape: Axis3, voxel_um: VoxelUm) -> tuple[float, NDArray[np.float64]]:
    """Return the length of such edges per volume, in um/um^3: of all, and (phase, phase, phase) of each triple.

    Edges at the border of the volume have no four voxels around them and belong neither to the length nor to the
    volume. The volume is at least two voxels long along each axis.
    """
    each = np.zeros(counts.shape[1:])
    for axis, edge in enumerate(voxel_um):
        places = np.prod([size - (other != axis) for other, size in enumerate(shape)])
        each += counts[axis] * edge / (places * np.prod(voxel_um))
    of_four = float(each[0, 0, 0])
    each[0, 0, 0] = 0
    return float(each.sum()) - 3 * of_four, each
