"""From clean labels to the tetrahedral mesh."""

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import lattice, moving
from porelay_mesher.meshes import TetMesh
from porelay_mesher.moving import Guard
from porelay_mesher.topology import regions


def mesh(labels: NDArray[np.uint8], voxels: tuple[int, ...], smoothing: str, rule: Guard) -> TetMesh:
    """Return the mesh of labels (z, y, x); `voxels` is the volume that each phase should have in it."""
    at = positions(labels, voxels, smoothing, rule) * np.array(rule.voxel_um)
    found = regions(labels)
    triangles, sides = lattice.walls(found.ids)
    return TetMesh(
        nodes_um=np.ascontiguousarray(at.reshape(-1, 3)[:, ::-1]),
        tetrahedra=lattice.tetrahedra(labels.shape),
        regions=np.repeat(found.ids.ravel(), len(lattice.KUHN)),
        region_phase=found.phase,
        triangles=triangles,
        sides=sides,
    )


def positions(labels: NDArray[np.uint8], voxels: tuple[int, ...], smoothing: str, rule: Guard) -> NDArray[np.float64]:
    """Return the nodes (Z + 1, Y + 1, X + 1, zyx) in voxels, smoothed by 'level_set', 'taubin' or 'none'."""
    if smoothing == "none":
        return lattice.positions(labels.shape)
    if smoothing == "taubin":
        return moving.taubin(labels, rule)
    present, compact = np.unique(labels, return_inverse=True)
    wanted = np.array(voxels, np.float64)[present]
    return moving.to_level_set(compact.astype(np.uint8), wanted * labels.size / wanted.sum(), rule)
