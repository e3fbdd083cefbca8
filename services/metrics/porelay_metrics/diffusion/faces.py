"""Conductances of the faces between voxels: one number for all faces across an axis, or one value a face.

All arrays are padded by one voxel on each side, which belongs to nothing. The flux runs along axis 0, whose two ends
are held at 0 and 1 on the outer faces of the volume, half a voxel from the centres; the sides let nothing through.
As a number, a conductance holds between any two conducting voxels; as an array, its element (k, j, i) is the face
between that voxel and the next one along the axis. `diagonal` is the sum of a voxel's conductances, 0 where nothing
conducts; all fields are 0 there and in the padding.
"""

from typing import Any

from numba import types

from porelay_metrics.jit import choose

Faces = tuple[Any, Any, Any]
"""Conductances across (0, 1, 2): three float32 numbers, or three float32 arrays."""


def pull(row: Any, x: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> None:
    """Write to `row` the sum over a row's neighbours of conductance times value."""
    raise NotImplementedError("only in compiled code")


@choose(pull)
def _pull(row: Any, x: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> Any:
    return _pull_each if isinstance(faces0, types.Array) else _pull_same


def _pull_same(row: Any, x: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> None:
    size = x.shape[2] - 2
    above, below = x[k - 1, j, 1 : size + 1], x[k + 1, j, 1 : size + 1]
    back, front = x[k, j - 1, 1 : size + 1], x[k, j + 1, 1 : size + 1]
    left, right = x[k, j, :size], x[k, j, 2 : size + 2]
    for i in range(size):
        row[i] = faces0 * (above[i] + below[i]) + faces1 * (back[i] + front[i]) + faces2 * (left[i] + right[i])


def _pull_each(row: Any, x: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> None:
    size = x.shape[2] - 2
    above, below = x[k - 1, j, 1 : size + 1], x[k + 1, j, 1 : size + 1]
    back, front = x[k, j - 1, 1 : size + 1], x[k, j + 1, 1 : size + 1]
    left, right = x[k, j, :size], x[k, j, 2 : size + 2]
    up, down = faces0[k - 1, j, 1 : size + 1], faces0[k, j, 1 : size + 1]
    west, east = faces1[k, j - 1, 1 : size + 1], faces1[k, j, 1 : size + 1]
    near, far = faces2[k, j, :size], faces2[k, j, 1 : size + 1]
    for i in range(size):
        row[i] = up[i] * above[i] + down[i] * below[i]
    for i in range(size):
        row[i] += west[i] * back[i] + east[i] * front[i]
    for i in range(size):
        row[i] += near[i] * left[i] + far[i] * right[i]


def lose(row: Any, x: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> None:
    """Write to `row` what flows out of each voxel of a row, void ones to be left out; values at both ends are 0.

    Summed from differences: from the diagonal, whose rounding is of one sign in like places, a large volume of
    voxels that are not cubes would leak.
    """
    raise NotImplementedError("only in compiled code")


@choose(lose)
def _lose(row: Any, x: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> Any:
    return _lose_each if isinstance(faces0, types.Array) else _lose_same


def _lose_same(row: Any, x: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> None:
    size, layers = x.shape[2] - 2, x.shape[0] - 2
    here = x[k, j, 1 : size + 1]
    for i in range(size):
        row[i] = 0
    for faces, k1, j1 in ((faces0, k - 1, j), (faces0, k + 1, j), (faces1, k, j - 1), (faces1, k, j + 1)):
        there, conducts = x[k1, j1, 1 : size + 1], diagonal[k1, j1, 1 : size + 1]
        for i in range(size):
            row[i] += faces * (here[i] - there[i]) if conducts[i] > 0 else 0
    for first in (0, 2):
        there, conducts = x[k, j, first : size + first], diagonal[k, j, first : size + first]
        for i in range(size):
            row[i] += faces2 * (here[i] - there[i]) if conducts[i] > 0 else 0
    for _ in range((k == 1) + (k == layers)):
        for i in range(size):
            row[i] += 2 * faces0 * here[i]


def _lose_each(row: Any, x: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, k: int, j: int) -> None:
    size = x.shape[2] - 2
    here = x[k, j, 1 : size + 1]
    above, below, back, front = x[k - 1, j], x[k + 1, j], x[k, j - 1], x[k, j + 1]
    up, down, west, east = faces0[k - 1, j], faces0[k, j], faces1[k, j - 1], faces1[k, j]
    near, far = faces2[k, j, :size], faces2[k, j, 1 : size + 1]
    for i in range(size):
        row[i] = up[i + 1] * (here[i] - above[i + 1]) + down[i + 1] * (here[i] - below[i + 1])
        row[i] += west[i + 1] * (here[i] - back[i + 1]) + east[i + 1] * (here[i] - front[i + 1])
        row[i] += near[i] * (here[i] - x[k, j, i]) + far[i] * (here[i] - x[k, j, i + 2])


def through(faces: Any, diagonal: Any, here: Any, there: Any) -> Any:
    """Return the conductance from voxel `here` to the next one `there` (three indices each), 0 where one is void."""
    raise NotImplementedError("only in compiled code")


@choose(through, inline="always")
def _through(faces: Any, diagonal: Any, here: Any, there: Any) -> Any:
    def each(faces: Any, diagonal: Any, here: Any, there: Any) -> Any:
        return faces[here]

    def same(faces: Any, diagonal: Any, here: Any, there: Any) -> Any:
        return faces * (diagonal[here] > 0) * (diagonal[there] > 0)

    return each if isinstance(faces, types.Array) else same


def outward(faces: Any, diagonal: Any, end: int, j: int, i: int) -> Any:
    """Return the conductance of a face held at 0 or 1: `end` 0 is the inlet, the number of layers the outlet."""
    raise NotImplementedError("only in compiled code")


@choose(outward, inline="always")
def _outward(faces: Any, diagonal: Any, end: int, j: int, i: int) -> Any:
    def each(faces: Any, diagonal: Any, end: int, j: int, i: int) -> Any:
        return faces[end, j, i]

    def same(faces: Any, diagonal: Any, end: int, j: int, i: int) -> Any:
        return 2 * faces * (diagonal[max(end, 1), j, i] > 0)

    return each if isinstance(faces, types.Array) else same
