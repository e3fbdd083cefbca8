"""Percentile normalisation."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from porelay_preprocess import levels
from porelay_preprocess.methods.min_max import Range, stretch, tell
from porelay_schemas.base import Params
from porelay_schemas.filters import fitted, whole
from porelay_schemas.frames import Source


class PercentileParams(Params):
    """Percentiles that become 0 and 1."""

    low: float = Field(default=0.5, ge=0, lt=100, description="percentile of the greys that becomes 0, in percent")
    high: float = Field(default=99.5, gt=0, le=100, description="percentile that becomes 1, in percent")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must lie below high ({self.high:g})")
        return self


def find_range(volume: Source, params: PercentileParams) -> Range:
    """Return the grey levels at the two percentiles; raise BadInput where there is one grey level only."""
    found = levels.histogram(volume)
    levels.differing(*found.extremes, "percentile")
    low, high = found.quantiles(np.array([params.low, params.high]) / 100)
    return Range(low=float(low), high=float(high))


@fitted(fit=find_range, apply=stretch, dtype="float32", tell=tell, work_bytes=12)
def percentile(grey: NDArray[Any], params: PercentileParams) -> NDArray[Any]:
    """Stretch two percentiles of the grey levels to 0 and 1 and clip the rest: hot pixels do no harm.

    `grey` (z, y, x) of any dtype; float32 result. Raises BadInput where every voxel has the same grey level.
    """
    return whole(percentile, grey, params)
