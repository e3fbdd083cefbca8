"""Bilateral filter."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_preprocess.noise import Noise, noise_of
from porelay_schemas.base import Axis3, Params
from porelay_schemas.filters import Facts, fitted, whole
from porelay_schemas.frames import Source

BINS = 2048
REACH = 5.0


class BilateralParams(Params):
    """Reach of the average, in space and in grey level."""

    radius: int = Field(default=3, ge=1, le=10, description="reach of the window, in voxels")
    sigma_voxels: float = Field(default=1.5, gt=0, le=20, description="weight by distance: sigma, in voxels")
    sigma_noise: float = Field(
        default=2.5, gt=0, le=20, description="weight by grey difference: sigma, in units of the noise (estimated)"
    )
    neighbourhood: Literal["volume", "slice"] = Field(
        default="slice", description="'slice': a disc in each slice; 'volume': a ball (slower)"
    )


def halo(params: BilateralParams) -> Axis3:
    """Return how far the window reaches."""
    return (params.radius if params.neighbourhood == "volume" else 0, params.radius, params.radius)


def averaged(grey: NDArray[Any], noise: Noise, first_slice: int, params: BilateralParams) -> NDArray[Any]:
    """Average neighbours that are near and alike; without noise the volume stays as it is."""
    from porelay_preprocess import greys, kernels

    sigma = params.sigma_noise * noise.sigma
    if sigma == 0:
        return grey
    offsets, near = window(params)
    alike = np.exp(-0.5 * np.linspace(0, REACH, BINS) ** 2).astype(np.float32)
    alike[-1] = 0
    per_bin = np.float32((BINS - 1) / (REACH * sigma))
    out = np.empty(grey.shape, np.float32)
    kernels.bilateral(greys.mirrored(grey, halo(params), np.float32), halo(params), offsets, near, alike, per_bin, out)
    return greys.typed(out, grey.dtype)


def window(params: BilateralParams) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return positions (n, 3) in the window, counted from its corner, and their weights (n,) by distance."""
    reach = halo(params)
    offsets = np.stack(np.meshgrid(*(np.arange(2 * r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)
    squared = ((offsets - np.array(reach)) ** 2).sum(axis=1)
    inside = squared <= (params.radius + 0.5) ** 2
    near = np.exp(-0.5 * squared[inside] / params.sigma_voxels**2)
    return np.ascontiguousarray(offsets[inside]), near.astype(np.float32)


def tell(before: Source, after: Source, noise: Noise, params: BilateralParams) -> Facts:
    """Return the noise that the weights were measured by."""
    return Facts({"noise sigma found, grey levels": noise.sigma})


@fitted(fit=noise_of, apply=averaged, halo=halo, tell=tell, glance=True, work_bytes=10)
def bilateral(grey: NDArray[Any], params: BilateralParams) -> NDArray[Any]:
    """Average neighbours that are near and alike in grey level: removes noise, keeps edges.

    `grey` (z, y, x) of any dtype; the result has the same. Mirrored at the borders. Tomasi and Manduchi 1998, ICCV.
    """
    return whole(bilateral, grey, params)
