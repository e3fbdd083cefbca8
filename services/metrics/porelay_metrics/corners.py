"""Counts of the 256 ways in which the eight voxels around a corner can belong to a phase, and what follows from them.

Bit 4 dz + 2 dy + dx of a way tells whether the voxel at (dz, dy, dx) of the eight belongs to the phase. The area of
the marching-cubes surface and the Euler number are sums over corners, hence over these counts.
"""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.jit import kernel
from porelay_metrics.labels import Labels
from porelay_schemas.base import Axis3, VoxelUm

OUTSIDE = 255
"""Label of what lies beyond the volume: no phase."""
WAYS = 256
_BITS = (np.arange(WAYS)[:, None] >> np.arange(8)) & 1
_CUBES = _BITS.reshape(WAYS, 2, 2, 2).astype(bool)


def count_ways(labels: Labels) -> NDArray[np.int64]:
    """Count the ways at all corners of a volume: (inside or at the border, phase, way).

    A corner is at the border when some of the eight voxels lie beyond the volume; they belong to no phase.
    """

    def count(block: NDArray[np.uint8], start: Axis3, stop: Axis3) -> NDArray[np.int64]:
        counts = np.zeros((2, len(labels.phases), WAYS), np.int64)
        _count(block, start, stop, counts)
        return counts

    return labels.total(count, before=1, frame=OUTSIDE)


@kernel
def _count(block: Any, start: Axis3, stop: Axis3, counts: Any) -> None:
    """Count at the corners whose last voxel (highest z, y, x) is in a part of a block."""
    for z in range(start[0] - 1, stop[0] - 1):
        for y in range(start[1] - 1, stop[1] - 1):
            a, b, c, d = block[z, y], block[z, y + 1], block[z + 1, y], block[z + 1, y + 1]
            for x in range(start[2] - 1, stop[2] - 1):
                first = a[x]
                same = first == b[x] and first == c[x] and first == d[x] and first == a[x + 1]
                if same and first == b[x + 1] and first == c[x + 1] and first == d[x + 1]:
                    if first != OUTSIDE:
                        counts[0, first, 255] += 1
                    continue
                _tally(counts, (first, a[x + 1], b[x], b[x + 1], c[x], c[x + 1], d[x], d[x + 1]))


@kernel
def _tally(counts: Any, eight: Any) -> None:
    border = 0
    for label in eight:
        if label == OUTSIDE:
            border = 1
    for bit in range(8):
        label = eight[bit]
        way, first = 0, True
        for other in range(8):
            if eight[other] == label:
                way |= 1 << other
                first = first and other >= bit
        if first and label != OUTSIDE:
            counts[border, label, way] += 1


def cells(shape: Axis3, voxel_um: VoxelUm) -> float:
    """Return the volume in um^3 that belongs to the corners inside a volume: one voxel's each."""
    return float(np.prod([(size - 1) * edge for size, edge in zip(shape, voxel_um, strict=True)]))


def marching_cubes_area(ways: NDArray[np.int64], voxel_um: VoxelUm) -> float:
    """Return the area in um^2 of the marching-cubes surface (Lewiner et al. 2003) at level 1/2 of a binary volume."""
    return float(ways @ np.array(_areas(voxel_um)))


@cache
def _areas(voxel_um: VoxelUm) -> tuple[float, ...]:
    from skimage.measure import marching_cubes, mesh_surface_area

    areas = [0.0] * WAYS
    for way in range(1, WAYS - 1):
        vertices, faces, _, _ = marching_cubes(_CUBES[way].astype(np.float32), 0.5, spacing=voxel_um)
        areas[way] = float(mesh_surface_area(vertices, faces))
    return tuple(areas)


def euler_number(ways: NDArray[np.int64], connectivity: int) -> float:
    """Return the Euler number, pieces - tunnels + cavities, of voxels that join by 6 or by 26 neighbours."""
    return float(ways @ np.array(_euler(connectivity)))


@cache
def _euler(connectivity: int) -> tuple[float, ...]:
    """Return what each way adds: cells of each dimension at the corner, over the corners that share them.

    With 6 neighbours the cells are voxel centres, pairs, squares and cubes of voxels, all of one phase; with 26 they
    are the corners, edges, faces and insides of closed voxels.
    """
    added = []
    for cube in _CUBES:
        runs: dict[int, list[bool]] = {0: [], 1: [], 2: [], 3: []}
        for z, y, x in product((slice(0, 1), slice(1, 2), slice(None)), repeat=3):
            free = sum(part == slice(None) for part in (z, y, x))
            cells = cube[z, y, x]
            runs[free].append(bool(cells.all() if connectivity == 6 else cells.any()))
        sign = 1 if connectivity == 6 else -1
        added.append(sign * (sum(runs[0]) / 8 - sum(runs[1]) / 4 + sum(runs[2]) / 2 - sum(runs[3])))
    return tuple(added)
