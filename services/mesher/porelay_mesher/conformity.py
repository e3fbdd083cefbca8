"""An independent look at the mesh as it is written: does every face have its other side, and is the box the box?

A face has a fingerprint that does not depend on the order of its nodes. Within a region, faces between tetrahedra come
twice and cancel under exclusive or; what is left must be exactly the triangles listed as the region's boundary. That
is checked in one pass without sorting; a wrong mesh passes with probability 2^-64.
"""

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.compiled import compiled
from porelay_mesher.meshes import FACES, TetMesh


def open_regions(mesh: TetMesh) -> int:
    """Return the number of regions whose tetrahedra are not enclosed by exactly their triangles."""
    left = np.zeros(len(mesh.region_phase), np.uint64)
    _cancel(mesh.tetrahedra, mesh.regions, mesh.triangles, mesh.sides, left)
    return int(np.count_nonzero(left))


def off_the_box(mesh: TetMesh) -> int:
    """Return the number of triangles listed on a box face that do not lie in its plane."""
    wrong = 0
    for k, face in enumerate(FACES):
        axis = "xyz".index(face[0])
        plane = mesh.size_um[axis] if face.endswith("max") else 0.0
        corners = mesh.triangles[mesh.sides[:, 1] == -1 - k]
        wrong += int(np.count_nonzero((mesh.nodes_um[corners, axis] != plane).any(axis=1)))
    return wrong


@compiled
def _cancel(
    tetrahedra: NDArray[np.int32],
    regions: NDArray[np.int32],
    triangles: NDArray[np.int32],
    sides: NDArray[np.int32],
    left: NDArray[np.uint64],
) -> None:
    for t in range(len(tetrahedra)):
        a, b, c, d = tetrahedra[t]
        left[regions[t]] ^= _print(a, b, c) ^ _print(a, b, d) ^ _print(a, c, d) ^ _print(b, c, d)
    for t in range(len(triangles)):
        mark = _print(triangles[t, 0], triangles[t, 1], triangles[t, 2])
        for side in sides[t]:
            if side >= 0:
                left[side] ^= mark


@compiled
def _print(a: int, b: int, c: int) -> np.uint64:
    """Return the fingerprint of three nodes in any order."""
    low, high = min(a, b, c), max(a, b, c)
    middle = a + b + c - low - high
    return _mix(_mix(_mix(np.uint64(low)) ^ np.uint64(middle)) ^ np.uint64(high))


@compiled
def _mix(x: np.uint64) -> np.uint64:
    """Return the finaliser of SplitMix64 (Steele et al. 2014)."""
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
