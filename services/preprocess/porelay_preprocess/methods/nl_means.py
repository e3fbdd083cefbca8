"""Non-local means."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_preprocess.noise import Noise, noise_of
from porelay_schemas.base import Axis3, Params
from porelay_schemas.filters import Facts, fitted, whole
from porelay_schemas.frames import Source


class NlMeansParams(Params):
    """Strength and reach of non-local means."""

    strength: float = Field(
        default=0.8, gt=0, le=10, description="h, how unlike patches may be, in units of the noise (estimated)"
    )
    patch_radius: int = Field(default=1, ge=1, le=4, description="reach of the patches compared, in voxels")
    search_radius: int = Field(default=3, ge=1, le=10, description="how far patches are looked for, in voxels")
    neighbourhood: Literal["volume", "slice"] = Field(
        default="volume", description="'volume': cubes; 'slice': squares in each slice, for coarsely spaced slices"
    )


def reach(radius: int, params: NlMeansParams) -> Axis3:
    """Return a radius along (z, y, x)."""
    return (radius if params.neighbourhood == "volume" else 0, radius, radius)


def halo(params: NlMeansParams) -> Axis3:
    """Return how far the patches of the search reach."""
    return reach(params.search_radius + params.patch_radius, params)


def averaged(grey: NDArray[Any], noise: Noise, first_slice: int, params: NlMeansParams) -> NDArray[Any]:
    """Average voxels whose surroundings are alike; without noise the volume stays as it is."""
    from porelay_preprocess import greys, kernels

    if noise.sigma == 0:
        return grey
    search, patch = reach(params.search_radius, params), reach(params.patch_radius, params)
    scale = (2 * noise.sigma**2, 1 / (params.strength * noise.sigma) ** 2)
    out = np.empty(grey.shape, np.float32)
    kernels.nl_means(greys.mirrored(grey, halo(params), np.float32), search, patch, scale, out)
    return greys.typed(out, grey.dtype)


def tell(before: Source, after: Source, noise: Noise, params: NlMeansParams) -> Facts:
    """Return the noise that h was measured by."""
    return Facts({"noise sigma found, grey levels": noise.sigma})


@fitted(fit=noise_of, apply=averaged, halo=halo, tell=tell, glance=True, work_bytes=26)
def nl_means(grey: NDArray[Any], params: NlMeansParams) -> NDArray[Any]:
    """Average voxels whose surroundings are alike, within a search window: strong on noise, slow.

    `grey` (z, y, x) of any dtype; the result has the same. Mirrored at the borders. The noise's own share of the
    patch distance is taken off (Buades, Coll and Morel 2005, CVPR).
    """
    return whole(nl_means, grey, params)
