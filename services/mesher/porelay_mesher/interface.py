"""The nodes of the interfaces, and along which lattice edges they may be pulled.

A node on a line where three phases meet is pulled along that line only, a node on a box face only within it: lines stay
lines and the box stays a box.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.compiled import compiled

Marks = NDArray[np.uint16]

DIRECTIONS = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)], np.int64)
DIRECTIONS = np.concatenate([DIRECTIONS, -DIRECTIONS])
"""The twelve lattice edges (z, y, x) of a node that can lie on a voxel face."""


@dataclass(frozen=True, eq=False)
class Interface:
    """Nodes (n, zyx) where two phases or more meet; the set of phases there, and of edges to pull along, as bits."""

    nodes: NDArray[np.int32]
    phases: Marks
    links: Marks


def find(labels: NDArray[np.uint8]) -> Interface:
    """Return the interface nodes of labels (z, y, x) below 16."""
    z, y, x = labels.shape
    marks = np.zeros((z + 1, y + 1, x + 1), np.uint16)
    bits = np.left_shift(np.uint16(1), labels, dtype=np.uint16)
    for a, b, c in np.ndindex(2, 2, 2):
        marks[a : a + z, b : b + y, c : c + x] |= bits
    nodes = np.argwhere(marks & (marks - np.uint16(1))).astype(np.int32)
    phases = marks[tuple(nodes.T)]
    return Interface(nodes, phases, _links(bits, nodes, phases))


@compiled
def _links(bits: Marks, nodes: NDArray[np.int32], phases: Marks) -> Marks:
    """Return the edges of each node that run along the same kind of place."""
    links = np.zeros(len(nodes), np.uint16)
    for i in range(len(nodes)):
        z, y, x = nodes[i]
        line = _several(phases[i])
        for k in range(len(DIRECTIONS)):
            dz, dy, dx = DIRECTIONS[k]
            if _leaves(z, dz, bits.shape[0]) or _leaves(y, dy, bits.shape[1]) or _leaves(x, dx, bits.shape[2]):
                continue
            around = _around(bits, z, y, x, DIRECTIONS[k])
            if _several(around) or (not line and around & (around - 1)):
                links[i] |= 1 << k
    return links


@compiled
def _leaves(at: int, step: int, size: int) -> bool:
    """Return whether a step leaves the volume, or the box face that the node lies on."""
    return step != 0 and (at == 0 or at == size or not 0 <= at + step <= size)


@compiled
def _several(mark: int) -> bool:
    """Return whether at least three bits are set."""
    rest = mark & (mark - 1)
    return (rest & (rest - 1)) != 0


@compiled
def _around(bits: Marks, z: int, y: int, x: int, step: NDArray[np.int64]) -> int:
    """Return the phases of the voxels that hold the edge from a node along `step`."""
    mark = 0
    for a in range(z - 1 if step[0] <= 0 else z, z if step[0] < 0 else z + 1):
        for b in range(y - 1 if step[1] <= 0 else y, y if step[1] < 0 else y + 1):
            for c in range(x - 1 if step[2] <= 0 else x, x if step[2] < 0 else x + 1):
                if 0 <= a < bits.shape[0] and 0 <= b < bits.shape[1] and 0 <= c < bits.shape[2]:
                    mark |= bits[a, b, c]
    return mark
