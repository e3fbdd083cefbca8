"""The metrics as functions of plain arrays, for notebooks: no plan, no phases by name, nothing printed.

Effective diffusivity, percolation and two-point correlation take a boolean array already: see `diffusivity`,
`connected` and `correlation`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.labels import Labels
from porelay_schemas.base import VoxelUm
from porelay_schemas.plan import Phase

CUBE: VoxelUm = (1.0, 1.0, 1.0)


def surfaces(labels: NDArray[Any], voxel_um: VoxelUm = CUBE) -> NDArray[np.float64]:
    """Return the interface area of each pair of labels per volume, in 1/um: (label, label), symmetric.

    `labels` (z, y, x) are integers from 0, at most 15; at least three voxels along each axis. The sum of a row is the
    specific surface area of that label.
    """
    from porelay_metrics.crofton import areas, count_pairs

    known = plain(labels)
    return areas(count_pairs(known), known.shape, voxel_um)


def triple_phase_boundary(labels: NDArray[Any], voxel_um: VoxelUm = CUBE) -> float:
    """Return the length of the lines where three or more labels (z, y, x) meet, per volume, in um/um^3."""
    from porelay_metrics.triple_line import STAIRCASE, count_edges, densities

    known = plain(labels)
    return densities(count_edges(known), known.shape, voxel_um)[0] / STAIRCASE


def chords(
    labels: NDArray[Any], voxel_um: VoxelUm = CUBE, *, label: int = 1, axis: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lengths in um of a label's chords along an axis of (z, y, x), and the share of each among them."""
    from porelay_metrics.chords import count_chords, weights

    counts = count_chords(plain(labels))[axis]
    share = weights(counts[label] if label < len(counts) else np.zeros_like(counts[0]))
    found = np.flatnonzero(share)
    return found.astype(np.float64) * voxel_um[axis], share[found]


def euler_number(labels: NDArray[Any], *, label: int = 1, connectivity: int = 6) -> int:
    """Return pieces - tunnels + cavities of a label (z, y, x), whose voxels join by 6 or 26 neighbours."""
    from porelay_metrics.corners import count_ways
    from porelay_metrics.corners import euler_number as number

    ways = count_ways(plain(labels)).sum(0)
    return round(number(ways[label], connectivity)) if label < len(ways) else 0


def plain(labels: NDArray[Any]) -> Labels:
    """Return labels whose phases have no names of their own; raise BadInput above 15."""
    labels = labels.astype(np.uint8) if labels.dtype == bool else labels
    count = min(int(labels.max(initial=0)) + 1, 16)
    return Labels(labels, [Phase(name=f"label_{index}", colour="#000000") for index in range(max(count, 2))])
