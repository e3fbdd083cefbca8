"""Which triangle is seen in each pixel: a z-buffer, many triangles at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_CANDIDATES = 2_000_000
_LEVELS = 2**30
_LARGE = 96


def nearest_faces(seen: NDArray[np.floating[Any]], pixels: int) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """Return, for each pixel of a square picture, the index of the nearest triangle or -1, and its nearness.

    `seen` (triangles, 3 corners, (column, row, nearness)). Triangles are sorted by the size of their bounding
    boxes and tested against all pixels of them, in batches.
    """
    low, span = _range(seen[..., 2])
    best = np.full(pixels * pixels, -1, np.int64)
    first = np.clip(np.ceil(seen[..., :2].min(axis=1) - 0.5), 0, pixels).astype(np.int64)
    last = np.clip(np.floor(seen[..., :2].max(axis=1) - 0.5), -1, pixels - 1).astype(np.int64)
    extent = last - first + 1
    present = np.flatnonzero((extent > 0).all(axis=1))
    for batch, (high, wide) in _batches(present, extent[present, ::-1]):
        pixel, face, near = _covered(seen, batch, first[batch], (high, wide), pixels)
        key = ((near - low) / span * _LEVELS).astype(np.int64) << 32 | face
        np.maximum.at(best, pixel, key)
    empty = best < 0
    nearness = np.where(empty, low, (best >> 32) / _LEVELS * span + low).astype(np.float32)
    return np.where(empty, -1, best & 0xFFFFFFFF), nearness


def _range(near: NDArray[np.floating[Any]]) -> tuple[float, float]:
    if not near.size:
        return 0.0, 1.0
    low, high = float(near.min()), float(near.max())
    return low, (high - low) * 1.0001 or 1.0


def _batches(
    present: NDArray[np.int64], extents: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], tuple[int, int]]]:
    """Yield triangles and the pixels (down, across) that hold each: small ones many at a time, large ones singly."""
    sides = extents.max(axis=1)
    smallest = 0
    while smallest < _LARGE:
        side = max(2, smallest * 3 // 2 + 1)
        chosen = present[(sides > smallest) & (sides <= side)]
        count = max(1, _MOST_CANDIDATES // side**2)
        for start in range(0, chosen.size, count):
            yield chosen[start : start + count], (side, side)
        smallest = side
    for index in np.flatnonzero(sides > smallest):
        yield present[index : index + 1], (int(extents[index, 0]), int(extents[index, 1]))


def _covered(
    seen: NDArray[np.floating[Any]],
    batch: NDArray[np.int64],
    first: NDArray[np.int64],
    extent: tuple[int, int],
    pixels: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating[Any]]]:
    """Return pixel, triangle and nearness wherever a triangle of the batch covers the centre of a pixel."""
    row, column = np.divmod(np.arange(extent[0] * extent[1]), extent[1])
    columns = first[:, 0, None] + column
    rows = first[:, 1, None] + row
    shares = barycentric(seen[batch, None], columns + 0.5, rows + 0.5)
    inside = (shares[0] >= 0) & (shares[1] >= 0) & (shares[2] >= 0) & (columns < pixels) & (rows < pixels)
    which, where = np.nonzero(inside)
    corners = seen[batch[which], :, 2]
    near = sum(share[which, where] * corners[:, index] for index, share in enumerate(shares))
    return (rows * pixels + columns)[inside], batch[which], np.asarray(near, np.float64)


def barycentric(
    seen: NDArray[np.floating[Any]], columns: NDArray[np.floating[Any]], rows: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return the shares of the three corners at points of triangles (..., 3, 2 or more); NaN for one seen edge-on."""
    (ax, ay), (bx, by), (cx, cy) = ((seen[..., i, 0].astype(float), seen[..., i, 1].astype(float)) for i in range(3))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    with np.errstate(divide="ignore", invalid="ignore"):
        b = ((columns - ax) * (cy - ay) - (cx - ax) * (rows - ay)) / area
        c = ((bx - ax) * (rows - ay) - (columns - ax) * (by - ay)) / area
        return 1 - b - c, b, c


def edge_distance(seen: NDArray[np.floating[Any]], pixel: NDArray[np.int64], pixels: int) -> NDArray[np.floating[Any]]:
    """Return how far, in pixels, the centres of pixels lie from the nearest edge of the triangles seen there."""
    shares = barycentric(seen, pixel % pixels + 0.5, pixel // pixels + 0.5)
    distances = []
    for corner, share in enumerate(shares):
        edge = seen[:, (corner + 2) % 3, :2] - seen[:, (corner + 1) % 3, :2]
        out = seen[:, corner, :2] - seen[:, (corner + 1) % 3, :2]
        area = np.abs(edge[:, 0] * out[:, 1] - edge[:, 1] * out[:, 0])
        distances.append(share * area / np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-9))
    return np.asarray(np.minimum.reduce(distances), np.float64)
