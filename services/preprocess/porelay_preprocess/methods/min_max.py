"""Min-max normalisation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_preprocess import levels
from porelay_schemas.base import Closed, Params
from porelay_schemas.filters import Facts, fitted, whole
from porelay_schemas.frames import Source


class MinMaxParams(Params):
    """Min-max normalisation takes no parameters."""


class Range(Closed):
    """Grey levels that become 0 and 1."""

    low: float
    high: float


def find_range(volume: Source, params: MinMaxParams) -> Range:
    """Return the extremes; raise BadInput where there is one grey level only."""
    low, high = levels.extremes(volume)
    levels.differing(low, high, "min_max")
    return Range(low=low, high=high)


def stretch(grey: NDArray[Any], found: Range, first_slice: int, params: Params) -> NDArray[Any]:
    """Map low to 0 and high to 1, as float32; values outside are clipped."""
    scaled = (grey.astype(np.float32) - np.float32(found.low)) / np.float32(found.high - found.low)
    return np.asarray(np.clip(scaled, 0, 1))


def tell(before: Source, after: Source, found: Range, params: Params) -> Facts:
    """Return the levels that became 0 and 1."""
    return Facts({"grey level that became 0": found.low, "grey level that became 1": found.high})


@fitted(fit=find_range, apply=stretch, dtype="float32", tell=tell, work_bytes=12)
def min_max(grey: NDArray[Any], params: MinMaxParams) -> NDArray[Any]:
    """Stretch the darkest voxel to 0 and the brightest to 1; one hot pixel squeezes all others.

    `grey` (z, y, x) of any dtype; float32 result. Raises BadInput where every voxel has the same grey level.
    """
    return whole(min_max, grey, params)
