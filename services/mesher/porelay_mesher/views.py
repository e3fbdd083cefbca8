"""What the pictures show: outer triangles of the mesh, of a phase or of a block cut out of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import lattice
from porelay_mesher.meshes import Meshes, Surface, TetMesh


@dataclass(frozen=True, eq=False)
class View:
    """Vertices (n, xyz) in um, triangles, and the phase that each triangle shows."""

    vertices_um: NDArray[np.float64]
    triangles: NDArray[np.int32]
    phases: NDArray[np.int64]


def phase(mesh: TetMesh, k: int) -> View:
    """Return the outside of one phase."""
    behind = mesh.region_phase[np.maximum(mesh.sides[:, 1], 0)]
    here = (mesh.region_phase[mesh.sides[:, 0]] == k) | ((behind == k) & (mesh.sides[:, 1] >= 0))
    return _compact(mesh.nodes_um, mesh.triangles[here], np.full(np.count_nonzero(here), k))


def surface(drawn: Surface, k: int) -> View:
    """Return a closed surface."""
    return View(drawn.vertices_um, drawn.triangles, np.full(len(drawn.triangles), k))


def block(meshes: Meshes, mesh: TetMesh, box: tuple[slice, slice, slice]) -> View:
    """Return the outside of the tetrahedra of a box of voxels: a cut along the lattice, as the mesh has it."""
    labels = np.asarray(meshes.labels[box], np.int32)
    triangles, sides = lattice.walls(labels)
    outer = sides[:, 1] < 0
    nodes = mesh.nodes_um.reshape(*lattice.node_shape(meshes.labels.shape), 3)
    part = nodes[tuple(slice(side.start, side.stop + 1) for side in box)].reshape(-1, 3)
    return _compact(part, triangles[outer], sides[outer, 0].astype(np.int64))


def half(shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Return the box behind a cut through the middle across y."""
    z, y, x = shape
    return slice(0, z), slice(y // 2, y), slice(0, x)


def middle(shape: tuple[int, int, int], edge: int) -> tuple[slice, slice, slice]:
    """Return a box of at most `edge` voxels a side in the middle."""
    z, y, x = (slice((size - min(size, edge)) // 2, (size + min(size, edge)) // 2) for size in shape)
    return z, y, x


def _compact(nodes: NDArray[np.float64], triangles: NDArray[np.int32], phases: NDArray[np.int64]) -> View:
    used, numbers = np.unique(triangles, return_inverse=True)
    return View(nodes[used], numbers.reshape(-1, 3).astype(np.int32), phases)
