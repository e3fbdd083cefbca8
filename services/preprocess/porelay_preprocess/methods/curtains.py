"""Curtain removal."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Closed, Params
from porelay_schemas.filters import Facts, Series, fitted, whole
from porelay_schemas.frames import Source

LOOKED_AT = 12


class CurtainsParams(Params):
    """Direction and strength of curtain removal."""

    along: Literal["y", "x"] = Field(default="y", description="axis along which the curtains run")
    wavelet: Literal["db2", "db5", "db9", "db20", "coif3", "sym8"] = Field(
        default="db5", description="wavelet; a longer one tells stripes from structure better, but is slower"
    )
    levels: int = Field(default=5, ge=1, le=10, description="wavelet levels: stripes up to 2^levels voxels wide go")
    length_voxels: int = Field(
        default=120, ge=8, le=100_000, description="length from which on a stripe is taken for a curtain, in voxels"
    )
    structure_levels: int = Field(
        default=3,
        ge=1,
        le=8,
        description="grey levels that the structure is made of; it is taken off while stripes are looked for. 1: it is "
        "not, as first published",
    )


class Structure(Closed):
    """Grey levels between the classes that the structure is made of."""

    thresholds: tuple[float, ...]


def find_structure(volume: Source, params: CurtainsParams) -> Structure:
    """Split the grey levels of some slices."""
    from porelay_preprocess.classes import split

    if params.structure_levels == 1:
        return Structure(thresholds=())
    chosen = spread(volume, LOOKED_AT)
    return Structure(thresholds=split(lambda: (volume[z : z + 1][0] for z in chosen), params.structure_levels))


def spread(volume: Source, most: int) -> list[int]:
    """Return the numbers of evenly spaced slices."""
    depth = volume.shape[0]
    return sorted({round(z) for z in np.linspace(0, depth - 1, min(depth, most)).tolist()})


def without(grey: NDArray[Any], found: Structure, first_slice: int, params: CurtainsParams) -> NDArray[Any]:
    """Clean slice by slice."""
    from porelay_preprocess.destripe import Settings, cleaned
    from porelay_preprocess.greys import typed

    settings = Settings(params.wavelet, params.levels, params.length_voxels)
    out = np.empty_like(grey)
    for z, image in enumerate(grey):
        clean = cleaned(np.ascontiguousarray(_turned(image, params)), found.thresholds, settings)
        out[z] = typed(_turned(clean, params), grey.dtype)
    return out


def tell(before: Source, after: Source, found: Structure, params: CurtainsParams) -> Facts:
    """Return the curtain score of some slices before and after."""
    from porelay_preprocess.destripe import curtain_score

    chosen = spread(before, LOOKED_AT)
    scores = [[curtain_score(_turned(stack[z : z + 1][0], params)) for z in chosen] for stack in (before, after)]
    was, now = (float(np.median(score)) for score in scores)
    slices = [float(z) for z in chosen]
    curves = {"before": (slices, scores[0]), "after": (slices, scores[1])}
    note = "Curtain score: power that does not vary along the curtain over power that does, in decades; 0.2 is none."
    numbers: dict[str, float | str] = {"curtain score before, decades": was, "curtain score after, decades": now}
    return Facts(numbers, (Series("Curtain score", "slice", "decades of power", curves),), (note,))


def _turned(image: NDArray[Any], params: CurtainsParams) -> NDArray[Any]:
    return image if params.along == "y" else image.T


@fitted(fit=find_structure, apply=without, halo=None, glance=True, tell=tell, work_bytes=48)
def curtains(grey: NDArray[Any], params: CurtainsParams) -> NDArray[Any]:
    """Remove curtains, the stripes that ion milling leaves, slice by slice.

    `grey` (z, y, x) of any dtype; the result has the same. The mean of each slice is kept. Wavelet and Fourier
    transform (Münch et al. 2009, Opt. Express 17, 8567) of what is left without the structure's grey levels.
    """
    return whole(curtains, grey, params)
