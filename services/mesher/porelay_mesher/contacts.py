"""Voxels of one phase that meet in an edge or a corner only: found, and flipped away.

Finite elements conduct through such a shared edge or corner, voxels do not, and a surface through it is no manifold.
A contact is counted at each inner lattice edge where a phase holds two diagonal voxels of the four and not the others,
and at each inner lattice node where the voxels of a phase among the eight are not connected by faces.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.compiled import compiled

OUTSIDE = -1


def _pieces() -> NDArray[np.int64]:
    """Return for each set of a 2 x 2 x 2 block's voxels (bit 4z + 2y + x) the number of its face-connected pieces."""
    table = np.zeros(256, np.int64)
    for mask in range(256):
        left = {bit for bit in range(8) if mask >> bit & 1}
        while left:
            table[mask] += 1
            reached = [left.pop()]
            while reached:
                bit = reached.pop()
                for other in (bit ^ 1, bit ^ 2, bit ^ 4):
                    if other in left:
                        left.remove(other)
                        reached.append(other)
    return table


def _squares() -> NDArray[np.int64]:
    """Return the 12 squares (a, b, c) of a 3 x 3 x 3 cube around the centre o: a and c beside it, b diagonal to it."""
    found = []
    for first, second in ((0, 1), (0, 2), (1, 2)):
        for up in (-1, 1):
            for across in (-1, 1):
                a, c = np.ones(3, np.int64), np.ones(3, np.int64)
                a[first] += up
                c[second] += across
                b = a + c - 1
                found.append([_flat(a), _flat(b), _flat(c)])
    return np.array(found)


def _flat(at: NDArray[np.int64]) -> int:
    return int(at[0] * 9 + at[1] * 3 + at[2])


def _blocks() -> NDArray[np.int64]:
    """Return the eight voxels of each of the eight 2 x 2 x 2 blocks of a 3 x 3 x 3 cube."""
    corner = np.array([(b >> 2 & 1, b >> 1 & 1, b & 1) for b in range(8)])
    return np.array([[_flat(low + bit) for bit in corner] for low in corner])


def _neighbours() -> NDArray[np.int64]:
    """Return for each voxel of a 3 x 3 x 3 cube its face neighbours within the cube's 18 of face or edge, else -1."""
    table = np.full((27, 6), -1, np.int64)
    for at in np.ndindex(3, 3, 3):
        for slot, (axis, step) in enumerate(product(range(3), (-1, 1))):
            to = np.array(at)
            to[axis] += step
            near = 0 < np.abs(to - 1).sum() < 3
            if 0 <= to[axis] <= 2 and near:
                table[_flat(np.array(at)), slot] = _flat(to)
    return table


PIECES, SQUARES, BLOCKS, NEIGHBOURS = _pieces(), _squares(), _blocks(), _neighbours()
CENTRE = 13
FACES = np.array([4, 10, 12, 14, 16, 22])
SIDES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 4, 5], [2, 3, 6, 7], [0, 2, 4, 6], [1, 3, 5, 7]])
"""The voxels of a 2 x 2 x 2 block on each of its six sides; the first and the last are diagonal to each other."""

ROUNDS = 12
SWEEPS = 60
REJECTED = -(1 << 40)
CONTACT, KEPT, VOXEL, BALANCE = 1000, 500, 10, 2500
"""What a flip is worth: for each contact less; for keeping the components; against each voxel that the growing phase
has too many and the shrinking one too few, up to a limit."""

CAREFUL, PATIENT, BOLD, STUBBORN, BLUNT = range(5)
"""How a flip is chosen, from one mood to the next where it leaves contacts: it lowers their number and joins or
parts no component; it does not raise it, and joins or parts none; it lowers it; it does not raise it; it may do
anything. Where it need not lower the number, a voxel flips at most once a round, which ends every cycle."""
LEAST_GAIN = np.array([1, 0, 1, 0, -1000])
"""How many contacts fewer each mood wants."""


def clean(labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Return labels (z, y, x) without contacts, and the number of flips.

    Flips that keep the number of components come first; among equals, those that bring the phases' volumes back.
    Deterministic, and it ends: contacts may remain only after all rounds, which no volume has needed so far.
    """
    labels = np.ascontiguousarray(labels).copy()
    excess = np.zeros(256, np.int64)
    flipped = np.zeros(labels.shape, np.int16)
    flips = 0
    for turn in range(1, ROUNDS + 1):
        for mood in (CAREFUL, PATIENT, BOLD, STUBBORN, BLUNT):
            for _ in range(SWEEPS):
                done, met = _sweep(labels, excess, flipped, turn, mood)
                flips += done
                if met == 0:
                    return labels, flips
                if done == 0:
                    break
    return labels, flips


def count(labels: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the number of contacts at lattice edges, and of lattice nodes with a contact but none at their edges."""
    edges = 0
    for first, second in ((0, 1), (0, 2), (1, 2)):
        a, b, c, d = (_shifted(labels, first, second, i, j) for i in (0, 1) for j in (0, 1))
        edges += int(np.count_nonzero((a == d) & (a != b) & (a != c)))
        edges += int(np.count_nonzero((b == c) & (b != a) & (b != d)))
    return edges, int(_corners(np.ascontiguousarray(labels)))


def _shifted(labels: NDArray[np.uint8], first: int, second: int, i: int, j: int) -> NDArray[np.uint8]:
    box = [slice(None)] * 3
    box[first], box[second] = slice(i, labels.shape[first] - 1 + i), slice(j, labels.shape[second] - 1 + j)
    return labels[tuple(box)]


@compiled
def _corners(labels: NDArray[np.uint8]) -> int:
    """Return the number of 2 x 2 x 2 blocks with a contact at their node only."""
    block = np.empty(8, np.int64)
    found = 0
    for z in range(labels.shape[0] - 1):
        for y in range(labels.shape[1] - 1):
            for x in range(labels.shape[2] - 1):
                if _block(labels, z, y, x, block) and _loose(block) and not _crossed(block):
                    found += 1
    return found


@compiled
def _sweep(
    labels: NDArray[np.uint8], excess: NDArray[np.int64], flipped: NDArray[np.int16], turn: int, mood: int
) -> tuple[int, int]:
    """Flip the best voxel of each block with a contact; return the number of flips and of such blocks."""
    block, cube = np.empty(8, np.int64), np.empty(27, np.int64)
    flips = met = 0
    for z in range(labels.shape[0] - 1):
        for y in range(labels.shape[1] - 1):
            for x in range(labels.shape[2] - 1):
                if not (_block(labels, z, y, x, block) and (_loose(block) or _crossed(block))):
                    continue
                met += 1
                best, at, to = REJECTED, 0, 0
                for bit in range(8):
                    a, b, c = z + (bit >> 2 & 1), y + (bit >> 1 & 1), x + (bit & 1)
                    if LEAST_GAIN[mood] < 1 and flipped[a, b, c] >= turn:
                        continue
                    _cube(labels, a, b, c, cube)
                    value, label = _best(cube, excess, mood)
                    if value > best:
                        best, at, to = value, bit, label
                if best > REJECTED:
                    a, b, c = z + (at >> 2 & 1), y + (at >> 1 & 1), x + (at & 1)
                    excess[labels[a, b, c]] -= 1
                    excess[to] += 1
                    labels[a, b, c] = to
                    flipped[a, b, c] += 1
                    flips += 1
    return flips, met


@compiled
def _best(cube: NDArray[np.int64], excess: NDArray[np.int64], mood: int) -> tuple[int, int]:
    """Return the value of the best new label of the central voxel, and that label; REJECTED where there is none."""
    own = cube[CENTRE]
    best, label = REJECTED, own
    before = -1
    for slot in range(6):
        to = cube[FACES[slot]]
        if to in (OUTSIDE, own, label):
            continue
        kept = _links(cube, own) == 1 and _links(cube, to) == 1
        if mood <= PATIENT and not kept:
            continue
        if before < 0:
            before = _pinches(cube)
        cube[CENTRE] = to
        gain = before - _pinches(cube)
        cube[CENTRE] = own
        if gain < LEAST_GAIN[mood]:
            continue
        value = CONTACT * gain - min(max(VOXEL * (excess[to] - excess[own]), -BALANCE), BALANCE)
        if kept:
            value += KEPT
        if value > best:
            best, label = value, to
    return best, label


@compiled
def _block(labels: NDArray[np.uint8], z: int, y: int, x: int, block: NDArray[np.int64]) -> bool:
    """Copy the 2 x 2 x 2 block from a voxel upwards; return whether it holds more than one label."""
    mixed = False
    for bit in range(8):
        block[bit] = labels[z + (bit >> 2 & 1), y + (bit >> 1 & 1), x + (bit & 1)]
        mixed |= block[bit] != block[0]
    return mixed


@compiled
def _crossed(block: NDArray[np.int64]) -> bool:
    """Return whether a phase holds only two diagonal voxels on a side of the block."""
    for side in range(6):
        a, b, c, d = block[SIDES[side, 0]], block[SIDES[side, 1]], block[SIDES[side, 2]], block[SIDES[side, 3]]
        if (a == d and a != b and a != c) or (b == c and b != a and b != d):
            return True
    return False


@compiled
def _loose(block: NDArray[np.int64]) -> int:
    """Return how many pieces too many the phases of a block fall into; voxels outside the volume do not count."""
    seen = extra = 0
    for i in range(8):
        if seen >> i & 1:
            continue
        mask = 0
        for j in range(i, 8):
            if block[j] == block[i]:
                mask |= 1 << j
        seen |= mask
        if block[i] != OUTSIDE:
            extra += PIECES[mask] - 1
    return extra


@compiled
def _cube(labels: NDArray[np.uint8], z: int, y: int, x: int, cube: NDArray[np.int64]) -> None:
    """Copy the 3 x 3 x 3 neighbourhood of a voxel, with OUTSIDE beyond the volume."""
    at = 0
    for a in range(z - 1, z + 2):
        for b in range(y - 1, y + 2):
            for c in range(x - 1, x + 2):
                inside = 0 <= a < labels.shape[0] and 0 <= b < labels.shape[1] and 0 <= c < labels.shape[2]
                cube[at] = labels[a, b, c] if inside else OUTSIDE
                at += 1


@compiled
def _pinches(cube: NDArray[np.int64]) -> int:
    """Return the number of contacts at the edges and corners of the central voxel."""
    found = 0
    own = cube[CENTRE]
    for k in range(12):
        a, b, c = cube[SQUARES[k, 0]], cube[SQUARES[k, 1]], cube[SQUARES[k, 2]]
        if a == OUTSIDE or b == OUTSIDE or c == OUTSIDE:
            continue
        found += own == b and own != a and own != c
        found += a == c and a != own and a != b
    block = np.empty(8, np.int64)
    for k in range(8):
        for bit in range(8):
            block[bit] = cube[BLOCKS[k, bit]]
        found += _loose(block)
    return found


@compiled
def _links(cube: NDArray[np.int64], label: int) -> int:
    """Return into how many pieces the face neighbours of the centre with `label` fall, seen within its 18 neighbours.

    One piece for the label it has and for the one it gets: the flip joins and parts nothing (Bertrand 1994).
    """
    reached = np.zeros(27, np.bool_)
    stack = np.empty(27, np.int64)
    pieces = 0
    for slot in range(6):
        start = FACES[slot]
        if cube[start] != label or reached[start]:
            continue
        pieces += 1
        reached[start] = True
        stack[0] = start
        depth = 1
        while depth > 0:
            depth -= 1
            at = stack[depth]
            for k in range(6):
                to = NEIGHBOURS[at, k]
                if to >= 0 and cube[to] == label and not reached[to]:
                    reached[to] = True
                    stack[depth] = to
                    depth += 1
    return pieces
