"""The lattice of a label volume: nodes at voxel corners, six tetrahedra a voxel (Kuhn 1960), all by index arithmetic.

Node (z, y, x) has number `(z * (Y + 1) + y) * (X + 1) + x`. Every voxel is split along the same diagonal, from its
lowest to its highest corner, so that neighbours fit: the mesh is conformal by construction, and every voxel face is
split along the diagonal from its lowest to its highest corner.
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3

Corners = NDArray[np.int64]


def _kuhn() -> Corners:
    """Return the corners (tetrahedron, corner, zyx) of the six tetrahedra of a voxel, positively oriented in xyz."""
    tetrahedra = []
    for order in permutations(range(3)):
        corners = np.zeros((4, 3), np.int64)
        for step, axis in enumerate(order):
            corners[step + 1 :, axis] = 1
        edges = (corners[1:] - corners[0])[:, ::-1]
        if np.linalg.det(edges) < 0:
            corners[[2, 3]] = corners[[3, 2]]
        tetrahedra.append(corners)
    return np.array(tetrahedra)


KUHN: Corners = _kuhn()
"""Corners (6, 4, 3) of a voxel's tetrahedra as offsets (z, y, x); x, y, z is a right-handed frame."""


def node_shape(shape: Axis3) -> Axis3:
    """Return how many nodes lie along (z, y, x)."""
    z, y, x = shape
    return z + 1, y + 1, x + 1


def strides(shape: Axis3) -> NDArray[np.int64]:
    """Return the step in node number along (z, y, x)."""
    _, y, x = node_shape(shape)
    return np.array([y * x, x, 1], np.int64)


def origins(shape: Axis3) -> NDArray[np.int32]:
    """Return the number of the lowest node of each voxel, an array of that shape."""
    numbers = np.arange(np.prod(node_shape(shape)), dtype=np.int32).reshape(node_shape(shape))
    return numbers[:-1, :-1, :-1]


def tetrahedra(shape: Axis3) -> NDArray[np.int32]:
    """Return the nodes (6 * voxels, 4) of all tetrahedra, voxel by voxel in C order."""
    offsets = (KUHN @ strides(shape)).astype(np.int32)
    return (origins(shape).reshape(-1, 1, 1) + offsets).reshape(-1, 4)


def positions(shape: Axis3) -> NDArray[np.float64]:
    """Return the nodes where the lattice has them: (Z + 1, Y + 1, X + 1, zyx), in voxels."""
    axes = [np.arange(size, dtype=np.float64) for size in node_shape(shape)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def walls(regions: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return all voxel faces between different regions, and those on the box, as triangles.

    Takes region numbers (z, y, x) in the order of their phases. Returns nodes (triangles, 3) and regions on both sides
    (triangles, 2), the lower number first, -1 - k behind box face k; the normal points from the first to the second.
    """
    found = [_walls_across(regions, axis) for axis in range(3)]
    triangles, sides = (np.concatenate(parts) for parts in zip(*found, strict=True))
    turn = (sides[:, 0] < 0) | ((sides[:, 1] >= 0) & (sides[:, 0] > sides[:, 1]))
    triangles[turn] = triangles[turn][:, ::-1]
    sides[turn] = sides[turn][:, ::-1]
    return triangles, sides


def _walls_across(regions: NDArray[np.int32], axis: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the walls across an axis, with normals along it, and the regions before and behind them."""
    outside = np.full(np.take(regions, [0], axis).shape, -1 - 2 * axis, np.int32)
    low = np.concatenate([outside, regions], axis)
    high = np.concatenate([regions, outside - 1], axis)
    at = np.nonzero(low != high)
    step = strides(regions.shape)
    u, v = step[(axis + 2) % 3], step[(axis + 1) % 3]  # u x v points along the axis when read as (x, y, z)
    corner = np.stack(at, axis=1) @ step
    split = np.array([[0, u, u + v], [0, u + v, v]])
    triangles = (corner[:, None, None] + split).reshape(-1, 3).astype(np.int32)
    sides = np.stack([low[at], high[at]], axis=1)
    return triangles, np.repeat(sides, 2, axis=0)
