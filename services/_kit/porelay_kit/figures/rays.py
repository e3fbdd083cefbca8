"""Lines of sight through a box of voxels: where they end, and how the surface lies there.

Points are (x, y, z) in voxels: voxel i of an axis spans i to i + 1. Fields are float32 (z, y, x).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures.camera import TOWARDS, Vectors, View

Field = NDArray[np.floating[Any]]
_LEVEL = 0.42
"""Where a smoothed surface lies between outside (0) and inside (1): a sheet one voxel thin survives."""


@dataclass(frozen=True)
class Hits:
    """Ends of lines of sight: index of the pixel, point, and axis of the box's face, or -1 within the box."""

    pixel: NDArray[np.intp]
    point: Vectors
    face: NDArray[np.int8]

    def only(self, which: Any) -> "Hits":
        """Return some of them."""
        return Hits(self.pixel[which], self.point[which], self.face[which])


def enter(view: View, voxel: Vectors) -> Hits:
    """Return where the lines of sight of a view enter its box of voxels with edges `voxel`."""
    eyes = view.eyes()
    near = np.where(TOWARDS > 0, view.high, view.low)
    far = np.where(TOWARDS > 0, view.low, view.high)
    enters = (eyes - near) / TOWARDS
    face = enters.argmax(axis=1)
    entry = enters.max(axis=1)
    pixel = np.flatnonzero(entry < ((eyes - far) / TOWARDS).min(axis=1))
    point = (eyes[pixel] - entry[pixel, None] * TOWARDS) / voxel
    return Hits(pixel, point.astype(np.float32), face[pixel].astype(np.int8))


def sample(values: NDArray[Any], point: Vectors) -> NDArray[Any]:
    """Return the values of the voxels that hold the points; points outside take the nearest voxel's."""
    x, y, z = (np.clip(point[:, axis].astype(np.int32), 0, values.shape[2 - axis] - 1) for axis in range(3))
    return np.asarray(values.ravel()[(z * values.shape[1] + y) * values.shape[2] + x])


def interpolate(field: Field, point: Vectors) -> Field:
    """Return the trilinear values of a field at points."""
    from scipy import ndimage

    centred = (point[:, ::-1] - np.float32(0.5)).T
    return np.asarray(ndimage.map_coordinates(field, centred, order=1, mode="nearest"), np.float32)


def smooth(inside: NDArray[np.bool_]) -> Field:
    """Return a smoothed field of a mask; threads and specks thinner than its smoothing are kept."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(inside.astype(np.float32), 0.7, mode="nearest", truncate=3)
    field[inside & (field < _LEVEL)] = 0.75
    return np.asarray(field, np.float32)


def march(field: Field, start: Hits, voxel: Vectors) -> Hits:
    """Follow lines of sight from where they enter the box to the surface of the field; drop those that meet none.

    Empty space is crossed in leaps of the distance to the nearest voxel inside.
    """
    from scipy import ndimage

    direction = -TOWARDS / voxel
    direction = (direction / np.abs(direction).max()).astype(np.float32)
    leap = ndimage.distance_transform_cdt(field < _LEVEL, "chessboard").astype(np.float32)
    leap[leap < 0] = max(field.shape)  # where there is no voxel inside at all
    walls = np.where(direction > 0, np.array(field.shape[::-1], np.float32), np.float32(0))
    leaves = ((walls - start.point) / direction).min(axis=1)
    ends = np.zeros(len(start.pixel), np.float32)
    met = interpolate(field, start.point) >= _LEVEL
    going = np.flatnonzero(~met)
    ends[going] = 0.3
    while going.size:
        free = sample(leap, start.point[going] + ends[going, None] * direction)
        met[going[free == 0]] = True
        going, free = going[free > 0], free[free > 0]
        ends[going] += np.maximum(free - 1, 0.5)
        going = going[ends[going] < leaves[going]]
    hits, ends = start.only(met), ends[met]
    point = _refined(field, hits.point, direction, ends)
    return Hits(hits.pixel, point, np.where(ends == 0, hits.face, -1).astype(np.int8))


def _refined(field: Field, origin: Vectors, direction: Vectors, ends: Field) -> Vectors:
    """Move the ends of lines, which lie in the first voxel inside, to where the field crosses its level."""
    low, high = np.maximum(ends - 0.8, 0), ends.copy()
    value = interpolate(field, origin + high[:, None] * direction)
    high = np.where(value < _LEVEL, high + 0.5, high)
    for _ in range(5):
        middle = (low + high) / 2
        inside = interpolate(field, origin + middle[:, None] * direction) >= _LEVEL
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    high = np.where(ends == 0, 0, high)
    return np.asarray(origin + high[:, None] * direction, np.float32)


def face_normals(hits: Hits) -> Vectors:
    """Return the outward normals of the box's faces that were hit."""
    return (np.sign(TOWARDS) * np.eye(3, dtype=np.float32))[hits.face].astype(np.float32)


def normals(field: Field, hits: Hits, voxel: Vectors) -> Vectors:
    """Return unit normals (x, y, z): of the box where it cuts the phase, of the smoothed surface elsewhere."""
    from scipy import ndimage

    soft = ndimage.gaussian_filter(field, 1.0, mode="nearest", truncate=3)
    slope = [-interpolate(part, hits.point) / voxel[2 - axis] for axis, part in enumerate(np.gradient(soft))]
    vectors = np.stack(slope[::-1], axis=1)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cut = hits.face >= 0
    vectors[cut] = face_normals(hits.only(cut))
    return vectors.astype(np.float32)


def openness(field: Field, hits: Hits, outward: Vectors) -> Field:
    """Return how much light reaches the surface, 0 to 1: little where the phase itself surrounds it."""
    from scipy import ndimage

    around = ndimage.gaussian_filter(field, 4.0, mode="constant", truncate=2.5)
    occluded = interpolate(around, hits.point + 3.5 * outward)
    light = np.clip(1.16 - 1.15 * occluded, 0.25, 1.0)
    return np.asarray(np.where(hits.face >= 0, 1.0, light), np.float32)
