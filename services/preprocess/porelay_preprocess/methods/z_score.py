"""Z-score normalisation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_preprocess import levels
from porelay_schemas.base import Closed, Params
from porelay_schemas.filters import Facts, fitted, whole
from porelay_schemas.frames import Source


class ZScoreParams(Params):
    """Z-score normalisation takes no parameters."""


class Moments(Closed):
    """Mean and standard deviation, in grey levels."""

    mean: float
    sigma: float = Field(gt=0)


def find_moments(volume: Source, params: ZScoreParams) -> Moments:
    """Return mean and standard deviation; raise BadInput where there is one grey level only."""
    levels.differing(*levels.extremes(volume), "z_score")
    mean, sigma = levels.mean_and_sigma(volume)
    return Moments(mean=mean, sigma=sigma)


def standardise(grey: NDArray[Any], found: Moments, first_slice: int, params: ZScoreParams) -> NDArray[Any]:
    """Return (grey - mean) / sigma as float32."""
    return (grey.astype(np.float32) - np.float32(found.mean)) / np.float32(found.sigma)


def tell(before: Source, after: Source, found: Moments, params: ZScoreParams) -> Facts:
    """Return the moments."""
    return Facts({"mean, grey levels": found.mean, "standard deviation, grey levels": found.sigma})


@fitted(fit=find_moments, apply=standardise, dtype="float32", tell=tell, work_bytes=12)
def z_score(grey: NDArray[Any], params: ZScoreParams) -> NDArray[Any]:
    """Shift and scale the grey levels to mean 0 and standard deviation 1.

    `grey` (z, y, x) of any dtype; float32 result. Raises BadInput where every voxel has the same grey level.
    """
    return whole(z_score, grey, params)
