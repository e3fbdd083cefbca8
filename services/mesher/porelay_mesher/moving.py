"""Two ways to move the interface from the voxels' staircase to a surface, both under the guard.

`to_level_set` (area-true): onto the surface where the phases' smoothed indicators are equal, with an offset for each
phase that is corrected after each pass until the phases have the volumes they should have. `taubin` (volume-true by
itself): a low-pass filter of the interface that shrinks and swells by turns (Taubin 1995).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import guard, interface, lattice
from porelay_mesher.compiled import compiled
from porelay_mesher.interface import DIRECTIONS, Interface
from porelay_schemas.base import VoxelUm

Array = NDArray[np.float64]

SIGMA = 1.0
"""Width of the indicators' smoothing, in voxels: the least that removes a staircase."""
SLOPE = 2 / np.sqrt(2 * np.pi) / SIGMA
"""Slope of the difference of two smoothed indicators across a flat interface, per voxel."""
LONGEST = 0.3
"""Longest step of a pass, in voxels."""
LARGEST_OFFSET = 0.35
TANGENTIAL = 0.5
DAMPING = 1e-3
"""Weight of the pull along the surface against the distance from it: it decides only where the distance does not."""
SHRINK, SWELL = 0.5, -0.53


@dataclass(frozen=True)
class Guard:
    """The lowest mean ratio allowed, as a share of the regular tetrahedron's on cubic voxels; passes over all nodes."""

    quality: float = 0.4
    passes: int = 10
    voxel_um: VoxelUm = (1.0, 1.0, 1.0)

    @property
    def floor(self) -> float:
        """The mean ratio itself: flat voxels begin lower, and may go lower in proportion."""
        return self.quality * guard.kuhn_ratio(self.voxel_um) / guard.kuhn_ratio((1.0, 1.0, 1.0))


def to_level_set(labels: NDArray[np.uint8], voxels: Array, rule: Guard) -> Array:
    """Return node positions (Z + 1, Y + 1, X + 1, zyx) in voxels.

    `labels` (z, y, x) have no gaps: 0 to `len(voxels)` - 1; `voxels` is the volume that each should have.
    """
    found, at = interface.find(labels), lattice.positions(labels.shape)
    fields = _indicators(labels, len(voxels))
    faces = _faces(labels, len(voxels))
    offsets, edges = np.zeros(len(voxels)), guard.scale(rule.voxel_um)
    for _ in range(rule.passes):
        wanted = _towards_equal(at, fields, offsets, found.nodes, found.phases, found.links)
        guard.move(at, found.nodes, wanted, edges, rule.floor)
        missing = (voxels - volumes(at, labels, len(voxels))) / faces
        offsets = np.clip(offsets + SLOPE * missing, -LARGEST_OFFSET, LARGEST_OFFSET)
        offsets -= offsets.mean()
    return at


def taubin(labels: NDArray[np.uint8], rule: Guard) -> Array:
    """Return node positions (Z + 1, Y + 1, X + 1, zyx) in voxels."""
    found, at = interface.find(labels), lattice.positions(labels.shape)
    edges = guard.scale(rule.voxel_um)
    for _ in range(rule.passes):
        for weight in (SHRINK, SWELL):
            guard.move(at, found.nodes, weight * _pull(at, found), edges, rule.floor)
    return at


def _pull(at: Array, found: Interface) -> Array:
    return _umbrellas(at, found.nodes, found.links)


def _indicators(labels: NDArray[np.uint8], phases: int) -> NDArray[np.float32]:
    """Return the smoothed indicator of each phase (phase, z, y, x); mirrored at the box: interfaces meet it upright."""
    from scipy.ndimage import gaussian_filter

    sharp = ((labels == k).astype(np.float32) for k in range(phases))
    return np.stack([gaussian_filter(field, SIGMA, mode="reflect", truncate=3.0) for field in sharp])


def _faces(labels: NDArray[np.uint8], phases: int) -> Array:
    """Return the area of each phase's interface in voxel faces, about 1.5 times too large on staircases; at least 1."""
    faces = np.ones(phases)
    for axis in range(3):
        low, high = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        differ = low != high
        faces += np.bincount(low[differ], minlength=phases) + np.bincount(high[differ], minlength=phases)
    return faces


@compiled
def volumes(at: Array, labels: NDArray[np.uint8], phases: int) -> Array:
    """Return the volume of each phase in voxels, from node positions (Z + 1, Y + 1, X + 1, zyx)."""
    sums = np.zeros(phases)
    e = np.empty((3, 3))
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                for t in range(6):
                    o = at[z, y, x]  # every tetrahedron has the voxel's lowest corner first
                    for n in range(3):
                        other = at[
                            z + lattice.KUHN[t, n + 1, 0], y + lattice.KUHN[t, n + 1, 1], x + lattice.KUHN[t, n + 1, 2]
                        ]
                        for axis in range(3):
                            e[n, 2 - axis] = other[axis] - o[axis]
                    sums[labels[z, y, x]] += (
                        e[0, 0] * (e[1, 1] * e[2, 2] - e[1, 2] * e[2, 1])
                        - e[0, 1] * (e[1, 0] * e[2, 2] - e[1, 2] * e[2, 0])
                        + e[0, 2] * (e[1, 0] * e[2, 1] - e[1, 1] * e[2, 0])
                    )
    return sums / 6


@compiled
def _umbrellas(at: Array, nodes: NDArray[np.int32], links: NDArray[np.uint16]) -> Array:
    """Return the way (n, zyx) from each node to the mean of those it is linked to."""
    pulls = np.zeros((len(nodes), 3))
    for i in range(len(nodes)):
        z, y, x = nodes[i]
        count = 0
        for k in range(len(DIRECTIONS)):
            if links[i] >> k & 1:
                other = at[z + DIRECTIONS[k, 0], y + DIRECTIONS[k, 1], x + DIRECTIONS[k, 2]]
                for axis in range(3):
                    pulls[i, axis] += other[axis]
                count += 1
        for axis in range(3):
            pulls[i, axis] = pulls[i, axis] / count - at[z, y, x, axis] if count > 1 else 0.0
    return pulls


@compiled
def _towards_equal(
    at: Array,
    fields: NDArray[np.float32],
    offsets: Array,
    nodes: NDArray[np.int32],
    phases: NDArray[np.uint16],
    links: NDArray[np.uint16],
) -> Array:
    """Return the step (n, zyx) of each node to where the indicators of its phases are equal, at most LONGEST.

    A damped Gauss-Newton step on their differences from their mean; the part that these leave open follows the
    umbrella, which spreads the nodes along the surface or line.
    """
    steps = TANGENTIAL * _umbrellas(at, nodes, links)
    values = np.empty((len(fields), 4))
    for i in range(len(nodes)):
        z, y, x = nodes[i]
        count = 0
        for p in range(len(fields)):
            if phases[i] >> p & 1:
                _sample(fields[p], at[z, y, x], values[count])
                values[count, 0] += offsets[p]
                count += 1
        for axis in range(3):
            if nodes[i, axis] == 0 or nodes[i, axis] == at.shape[axis] - 1:
                values[:count, 1 + axis] = 0.0
        _newton(values[:count], steps[i])
        length = np.sqrt((steps[i] ** 2).sum())
        if length > LONGEST:
            steps[i] *= LONGEST / length
    return steps


@compiled
def _sample(field: NDArray[np.float32], at: Array, value: Array) -> None:
    """Write the trilinear value of a field at a node, and its slopes along z, y, x; voxel centres lie at 0.5."""
    low = np.empty(3, np.int64)
    part = np.empty(3)
    for axis in range(3):
        inside = min(max(at[axis] - 0.5, 0.0), field.shape[axis] - 1.0)
        low[axis] = min(int(inside), field.shape[axis] - 2)
        part[axis] = inside - low[axis]
    value[:] = 0.0
    for corner in range(8):
        a, b, c = corner >> 2 & 1, corner >> 1 & 1, corner & 1
        f = field[low[0] + a, low[1] + b, low[2] + c]
        u = part[0] if a else 1 - part[0]
        v = part[1] if b else 1 - part[1]
        w = part[2] if c else 1 - part[2]
        value[0] += f * u * v * w
        value[1] += f * v * w * (2 * a - 1)
        value[2] += f * u * w * (2 * b - 1)
        value[3] += f * u * v * (2 * c - 1)


@compiled
def _newton(values: Array, step: Array) -> None:
    """Replace the wish `step` by the damped least-squares step that makes the values (n, value and slopes) equal."""
    matrix = np.zeros((3, 3))
    right = DAMPING * step
    for i in range(3):
        matrix[i, i] = DAMPING
    mean = np.zeros(4)
    for k in range(len(values)):
        mean += values[k] / len(values)
    for k in range(len(values)):
        for i in range(3):
            slope = values[k, 1 + i] - mean[1 + i]
            right[i] -= slope * (values[k, 0] - mean[0])
            for j in range(3):
                matrix[i, j] += slope * (values[k, 1 + j] - mean[1 + j])
    _solve(matrix, right, step)


@compiled
def _solve(matrix: Array, right: Array, out: Array) -> None:
    """Write the solution of a symmetric positive 3 x 3 system, by its adjugate."""
    a, b, c = matrix[0]
    d, e, f = matrix[1, 1], matrix[1, 2], matrix[2, 2]
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    det = a * aa + b * bb + c * cc
    out[0] = (aa * right[0] + bb * right[1] + cc * right[2]) / det
    out[1] = (bb * right[0] + dd * right[1] + ee * right[2]) / det
    out[2] = (cc * right[0] + ee * right[1] + ff * right[2]) / det
