"""Gaussian blur."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from porelay_schemas.base import Axis3, Params
from porelay_schemas.filters import local

TRUNCATE = 4.0
Sigma = Annotated[float, Field(ge=0, le=50)]


class GaussianParams(Params):
    """Width of the blur."""

    sigma_voxels: tuple[Sigma, Sigma, Sigma] = Field(
        default=(1.0, 1.0, 1.0), description="standard deviation along (z, y, x), in voxels; one number for all three"
    )

    @field_validator("sigma_voxels", mode="before")
    @classmethod
    def _cube(cls, value: Any) -> Any:
        return (value, value, value) if isinstance(value, (int, float)) else value


def halo(params: GaussianParams) -> Axis3:
    """Return how far the truncated kernel reaches."""
    z, y, x = (int(TRUNCATE * sigma + 0.5) for sigma in params.sigma_voxels)
    return z, y, x


@local(halo=halo, work_bytes=12)
def gaussian(grey: NDArray[Any], params: GaussianParams) -> NDArray[Any]:
    """Blur with a Gaussian: removes noise, and edges with it.

    `grey` (z, y, x) of any dtype; the result has the same. Mirrored at the borders, cut at four sigma.
    """
    from scipy.ndimage import gaussian_filter

    from porelay_preprocess.greys import typed

    smooth = gaussian_filter(grey, params.sigma_voxels, output=np.float32, mode="reflect", truncate=TRUNCATE)
    return typed(smooth, grey.dtype)
