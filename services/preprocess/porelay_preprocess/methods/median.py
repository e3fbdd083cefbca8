"""Median filter."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from porelay_schemas.base import Axis3, Params
from porelay_schemas.filters import local


class MedianParams(Params):
    """Window of the median."""

    size: int = Field(default=3, ge=1, le=15, description="edge of the window, in voxels; odd")
    neighbourhood: Literal["volume", "slice"] = Field(
        default="volume", description="'volume': a cube; 'slice': a square in each slice, for coarsely spaced slices"
    )

    @field_validator("size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"an even window has no middle voxel; take {size - 1} or {size + 1}")
        return size

    @property
    def window(self) -> Axis3:
        """Voxels along (z, y, x)."""
        return (self.size if self.neighbourhood == "volume" else 1, self.size, self.size)


def halo(params: MedianParams) -> Axis3:
    """Return how far the window reaches."""
    z, y, x = params.window
    return z // 2, y // 2, x // 2


@local(halo=halo, work_bytes=6)
def median(grey: NDArray[Any], params: MedianParams) -> NDArray[Any]:
    """Replace each voxel by the median of its neighbours: removes speckle, keeps edges.

    `grey` (z, y, x) of any dtype; the result has the same. Mirrored at the borders.
    """
    if grey.dtype == np.uint8:
        from porelay_preprocess import greys, kernels

        out = np.empty_like(grey)
        kernels.median_u8(greys.mirrored(grey, halo(params), np.uint8), params.window, out)
        return out
    from scipy.ndimage import median_filter

    result: NDArray[Any] = median_filter(grey, size=params.window, mode="reflect")
    return result
