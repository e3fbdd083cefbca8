"""Connected components of the phases, and which of them percolate.

Voxels of a phase are connected by faces, as finite volumes see them. In a mesh they are connected by nodes too: without
contacts (see `contacts`) both agree, and `by_nodes` shows it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import contacts
from porelay_mesher.meshes import Structure


@dataclass(frozen=True, eq=False)
class Regions:
    """Components of all phases: `ids` (z, y, x) int32 from 0, in the order of their phases; `phase` of each."""

    ids: NDArray[np.int32]
    phase: NDArray[np.uint8]

    @property
    def voxels(self) -> NDArray[np.int64]:
        """Number of voxels of each component."""
        return np.bincount(self.ids.ravel(), minlength=len(self.phase))


def regions(labels: NDArray[np.uint8], *, by_nodes: bool = False) -> Regions:
    """Return the components of labels (z, y, x), connected by faces, or by common corners of voxels."""
    import cc3d

    found = cc3d.connected_components(labels + np.uint8(1), connectivity=26 if by_nodes else 6, out_dtype=np.uint32)
    phase = np.zeros(int(found.max()), np.uint8)
    phase[found.ravel() - 1] = labels.ravel()
    order = np.argsort(phase, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return Regions(rank[found - 1], phase[order])


def structure(labels: NDArray[np.uint8], phases: int, *, by_nodes: bool = False) -> Structure:
    """Return fractions, components, percolation and contacts of the phases 0 to `phases` - 1."""
    found = regions(labels, by_nodes=by_nodes)
    voxels = np.bincount(labels.ravel(), minlength=phases)
    crossing = np.stack([_crossing(found, axis) for axis in range(3)])
    shares = [_per_phase(found, phases, found.voxels * hit) / np.maximum(voxels, 1) for hit in crossing]
    edges, corners = contacts.count(labels)
    return Structure(
        voxels=tuple(int(n) for n in voxels),
        components=tuple(int(n) for n in np.bincount(found.phase, minlength=phases)),
        percolating=tuple((float(z), float(y), float(x)) for z, y, x in zip(*shares, strict=True)),
        edge_contacts=edges,
        corner_contacts=corners,
    )


def _crossing(found: Regions, axis: int) -> NDArray[np.bool_]:
    """Return which components touch both faces of an axis."""
    touched = np.zeros((2, len(found.phase)), bool)
    for side, at in enumerate((0, -1)):
        touched[side, np.unique(np.take(found.ids, at, axis))] = True
    return np.asarray(touched.all(axis=0))


def _per_phase(found: Regions, phases: int, amounts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(found.phase, amounts, phases).astype(np.float64)
