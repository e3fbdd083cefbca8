"""Small islands: components of a few voxels, given to the phase that they touch most."""

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.topology import Regions, regions

ROUNDS = 64
"""Nested islands vanish from the outside in, one layer a round."""


def absorb(labels: NDArray[np.uint8], least_voxels: int) -> NDArray[np.uint8]:
    """Return labels (z, y, x) in which components below `least_voxels` have the label they share most faces with.

    Faces between two such islands do not count; where there are no others (a volume of dust), they are left.
    """
    labels = labels.copy()
    for _ in range(ROUNDS):
        found = regions(labels)
        small = found.voxels < least_voxels
        if not small.any():
            break
        shared = _shared_faces(labels, found, small)
        label = shared.argmax(axis=1)
        change = shared.max(axis=1) > 0
        if not change.any():
            break
        moved = change[found.ids]
        labels[moved] = label[found.ids[moved]]
    return labels


def _shared_faces(labels: NDArray[np.uint8], found: Regions, small: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (components, labels): faces that a small component shares with large ones of each label."""
    phases = int(labels.max()) + 1
    shared = np.zeros(len(small) * phases, np.int64)
    for axis in range(3):
        low, high = _halves(axis)
        for own, other in ((low, high), (high, low)):
            here, there = found.ids[own], found.ids[other]
            pair = small[here] & ~small[there]
            shared += np.bincount(here[pair].astype(np.int64) * phases + labels[other][pair], minlength=len(shared))
    return shared.reshape(-1, phases)


def _halves(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    low, high = [slice(None)] * 3, [slice(None)] * 3
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    return tuple(low), tuple(high)
