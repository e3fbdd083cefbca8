"""Grey values in and out of floating point."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def typed(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return `values` as `dtype`; integers are rounded and clipped to their range."""
    kind = np.dtype(dtype)
    if kind.kind not in "ui":
        return values.astype(kind, copy=False)
    limits = np.iinfo(kind)
    whole: NDArray[Any] = np.clip(np.rint(values), limits.min, limits.max).astype(kind)
    return whole


def mirrored(grey: NDArray[Any], radius: tuple[int, int, int], dtype: DTypeLike) -> NDArray[Any]:
    """Return the array (z, y, x) with `radius` more voxels on each side, mirrored at its faces (d c b a | a b c d)."""
    return np.pad(grey.astype(dtype, copy=False), [(r, r) for r in radius], mode="symmetric")
