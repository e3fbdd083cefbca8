"""From the labels of a window to labels that can be meshed: no dust, no contacts."""

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import contacts, islands
from porelay_mesher.meshes import Cleaning
from porelay_mesher.topology import structure

ROUNDS = 3
"""Flips may leave new dust, and its removal new contacts; contacts come last."""


def clean(labels: NDArray[np.uint8], phases: int, min_island_voxels: int) -> tuple[NDArray[np.uint8], Cleaning]:
    """Return labels (z, y, x) without islands below a size and without contacts, and what that changed."""
    before, raw = structure(labels, phases), labels
    dust = flips = 0
    for _ in range(ROUNDS):
        kept = islands.absorb(labels, min_island_voxels)
        labels, flipped = contacts.clean(kept)
        dust += int(np.count_nonzero(kept != raw)) if not dust else 0
        flips += flipped
        if flipped == 0:
            break
    return labels, Cleaning(before, structure(labels, phases), dust, flips)
