"""Linear interpolation with anti-aliasing, axis by axis."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_preprocess.greys import typed
from porelay_schemas.filters import Place

TIE = 1e-9
"""A voxel midway between two takes the second, whatever the last digit of the voxel size says."""


def reach(part: slice, size: int, scale: float) -> slice:
    """Return which voxels of a source axis the voxels `part` of the resampled axis are made of."""
    support = max(scale, 1.0)
    first = np.floor(centre(part.start, scale) - support)
    last = np.ceil(centre(part.stop - 1, scale) + support)
    return slice(int(max(first, 0)), int(min(last, size - 1)) + 1)


def centre(index: Any, scale: float) -> Any:
    """Return where a voxel of the resampled axis lies on the source axis; `scale` = source voxels per voxel."""
    return (index + 0.5) * scale - 0.5


def linear(block: NDArray[Any], place: Place, scales: tuple[float, float, float]) -> NDArray[Any]:
    """Resample a grey block: each voxel is a mean weighted by a tent as wide as the coarser of both voxels."""
    out = block.astype(np.float32)
    for axis in np.argsort(scales)[::-1]:
        out = _along(out, int(axis), place, scales[axis])
    return typed(out, block.dtype)


def _along(values: NDArray[np.float32], axis: int, place: Place, scale: float) -> NDArray[np.float32]:
    part, source, size = place.result[axis], place.source[axis], place.frame.shape[axis]
    if scale == 1:
        return values[(slice(None),) * axis + (slice(part.start - source.start, part.stop - source.start),)]
    index, weights = taps(part, size, scale)
    total: NDArray[np.float32] | None = None
    for tap, weight in zip(index, weights, strict=True):
        shaped = weight.reshape([-1 if at == axis else 1 for at in range(3)])
        term = np.take(values, tap - source.start, axis=axis) * shaped
        total = term if total is None else total + term
    assert total is not None
    return total


def taps(part: slice, size: int, scale: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return source voxels and weights, both (taps, voxels of `part`); the weights of a voxel sum to 1.

    Beyond the volume lies what lies at its border.
    """
    support = max(scale, 1.0)
    at = centre(np.arange(part.start, part.stop), scale)
    first = np.floor(at - support).astype(np.int64) + 1
    index = first + np.arange(int(np.ceil(2 * support)))[:, None]
    weights = np.clip(1 - np.abs(index - at) / support, 0, None)
    return np.clip(index, 0, size - 1), (weights / weights.sum(axis=0)).astype(np.float32)


def nearest(block: NDArray[Any], place: Place, scales: tuple[float, float, float]) -> NDArray[Any]:
    """Resample a label block: each voxel takes the value at its centre."""
    out = block
    for axis, scale in enumerate(scales):
        part, source, size = place.result[axis], place.source[axis], place.frame.shape[axis]
        at = np.floor(centre(np.arange(part.start, part.stop), scale) + 0.5 + TIE).astype(np.int64)
        out = np.take(out, np.clip(at, 0, size - 1) - source.start, axis=axis)
    return out
