"""The guard: a node moves only as far as all of its tetrahedra stay upright and well shaped.

Shape is the mean ratio 12 (3 V)^(2/3) / (sum of squared edges): 1 for the regular tetrahedron, 0.756 for a Kuhn one of
a cubic voxel. Since the lattice starts above the floor and no accepted move goes below, the floor holds for the whole
mesh, which therefore cannot fold: its topology stays that of the voxels.
"""

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.compiled import compiled
from porelay_mesher.lattice import KUHN
from porelay_schemas.base import VoxelUm

HALVINGS = 4


def _stars() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the 24 tetrahedra at a node: offset of their voxel, and of their other three nodes, upright."""
    voxels, others = [], []
    for corners in KUHN:
        for k in range(4):
            rest = np.roll(corners, -k, axis=0)[1:] - corners[k]
            voxels.append(-corners[k])
            others.append(rest[::-1] if k % 2 else rest)
    return np.array(voxels), np.array(others)


STAR_VOXELS, STAR_NODES = _stars()


def scale(voxel_um: VoxelUm) -> NDArray[np.float64]:
    """Return the edges of a voxel (z, y, x) as multiples of their geometric mean."""
    edges = np.array(voxel_um, np.float64)
    return np.asarray(edges / np.prod(edges) ** (1 / 3), np.float64)


def kuhn_ratio(voxel_um: VoxelUm) -> float:
    """Return the lowest mean ratio of a voxel's six tetrahedra."""
    return float(12 * 0.5 ** (2 / 3) / (_edges(voxel_um) ** 2).sum(axis=(1, 2)).max())


def kuhn_jacobian(voxel_um: VoxelUm) -> float:
    """Return the lowest scaled Jacobian of a voxel's six tetrahedra."""
    ab, ac, ad, bc, bd, cd = np.linalg.norm(_edges(voxel_um), axis=2).T
    return float(np.sqrt(2) / np.max([ab * ac * ad, ab * bc * bd, ac * bc * cd, ad * bd * cd]))


def _edges(voxel_um: VoxelUm) -> NDArray[np.float64]:
    """Return the edges (6, 6, zyx) of the tetrahedra of a voxel of volume 1."""
    corners = KUHN * scale(voxel_um)
    return np.asarray(corners[:, [1, 2, 3, 2, 3, 3]] - corners[:, [0, 0, 0, 1, 1, 2]], np.float64)


@compiled
def move(
    positions: NDArray[np.float64],
    nodes: NDArray[np.int32],
    wanted: NDArray[np.float64],
    edges: NDArray[np.float64],
    floor: float,
) -> int:
    """Move nodes of `positions` (Z + 1, Y + 1, X + 1, zyx) one after the other by what is wanted, or a part of it.

    `wanted` (n, zyx) is in voxels, halved until the guard agrees; nodes on a box face stay in it. `edges` are those of
    a voxel, `floor` is the lowest mean ratio allowed. Returns how many nodes could not move.
    """
    last = np.array([size - 1 for size in positions.shape[:3]])
    trial = np.empty(3)
    stuck = 0
    for i in range(len(nodes)):
        z, y, x = nodes[i]
        here = positions[z, y, x]
        part = 1.0
        for _ in range(HALVINGS):
            for k in range(3):
                free = 0 < nodes[i, k] < last[k]
                trial[k] = here[k] + part * wanted[i, k] if free else here[k]
            if _upright(positions, z, y, x, trial, edges, floor):
                here[:] = trial
                break
            part *= 0.5
        else:
            stuck += 1
    return stuck


@compiled
def _upright(
    positions: NDArray[np.float64],
    z: int,
    y: int,
    x: int,
    trial: NDArray[np.float64],
    edges: NDArray[np.float64],
    floor: float,
) -> bool:
    """Return whether all tetrahedra at a node would keep the floor with the node at `trial`."""
    size_z, size_y, size_x = positions.shape[0] - 1, positions.shape[1] - 1, positions.shape[2] - 1
    e = np.empty((3, 3))
    for k in range(24):
        a, b, c = z + STAR_VOXELS[k, 0], y + STAR_VOXELS[k, 1], x + STAR_VOXELS[k, 2]
        if a < 0 or b < 0 or c < 0 or a >= size_z or b >= size_y or c >= size_x:
            continue
        for n in range(3):
            other = positions[z + STAR_NODES[k, n, 0], y + STAR_NODES[k, n, 1], x + STAR_NODES[k, n, 2]]
            for axis in range(3):
                e[n, 2 - axis] = (other[axis] - trial[axis]) * edges[axis]
        if not _shapely(e, floor):
            return False
    return True


@compiled
def _shapely(e: NDArray[np.float64], floor: float) -> bool:
    """Return whether three edges (3, xyz) from a corner span an upright tetrahedron of at least that mean ratio."""
    volume6 = (
        e[0, 0] * (e[1, 1] * e[2, 2] - e[1, 2] * e[2, 1])
        - e[0, 1] * (e[1, 0] * e[2, 2] - e[1, 2] * e[2, 0])
        + e[0, 2] * (e[1, 0] * e[2, 1] - e[1, 1] * e[2, 0])
    )
    if volume6 <= 0:
        return False
    squares = 0.0
    for axis in range(3):
        a, b, c = e[0, axis], e[1, axis], e[2, axis]
        squares += a * a + b * b + c * c + (a - b) ** 2 + (a - c) ** 2 + (b - c) ** 2
    return bool(432 * volume6 * volume6 >= (floor * squares) ** 3)  # the cube of the mean ratio, without a root
