"""Slice-wise correction of brightness and contrast (flicker)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from porelay_preprocess import levels
from porelay_schemas.base import Closed, Params
from porelay_schemas.filters import Facts, Series, fitted, whole
from porelay_schemas.frames import Source

FRACTIONS = np.linspace(0.05, 0.95, 19)
LEAST_GAIN = 0.25


class IntensityParams(Params):
    """What slices are compared with."""

    window_slices: int = Field(
        default=31,
        ge=0,
        le=100_001,
        description="slices in the running median that a slice is matched to, odd; 0: all slices, which removes a slow "
        "trend too",
    )

    @field_validator("window_slices")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window and window % 2 == 0:
            raise ValueError(f"an even window has no middle slice; take {window - 1} or {window + 1}")
        return window


class Flicker(Closed):
    """Gain and offset that correct each slice, and its mean before, in grey levels."""

    gain: tuple[float, ...]
    offset: tuple[float, ...]
    mean: tuple[float, ...]


def find_flicker(volume: Source, params: IntensityParams) -> Flicker:
    """Fit each slice's quantiles to their running median along the stack; raise BadInput on a single grey level."""
    low, high = levels.extremes(volume)
    levels.differing(low, high, "intensity")
    edges = levels.bin_edges(low, high, volume.dtype)
    rows, means = [], []
    for _, slices in volume.slabs():
        for image in slices:
            rows.append(levels.Counts(edges, levels.counted(image, edges)).quantiles(FRACTIONS))
            means.append(float(image.mean(dtype=np.float64)))
    found = np.array(rows)
    gain, offset = matched(found, running_median(found, params.window_slices))
    return Flicker(gain=tuple(gain.tolist()), offset=tuple(offset.tolist()), mean=tuple(means))


def running_median(rows: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the median of each column over `window` rows about each row, fewer at the ends; 0 = all rows."""
    if window == 0:
        return np.broadcast_to(np.median(rows, axis=0), rows.shape)
    half = window // 2
    return np.stack([np.median(rows[max(z - half, 0) : z + half + 1], axis=0) for z in range(len(rows))])


def matched(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gain and offset (slices,) that bring quantiles (slices, n) nearest to the wanted ones (least squares).

    The gain is kept between a quarter and four; a slice of one grey level is shifted only.
    """
    centre, target = found.mean(axis=1, keepdims=True), wanted.mean(axis=1, keepdims=True)
    spread = np.square(found - centre).sum(axis=1)
    together = ((found - centre) * (wanted - target)).sum(axis=1)
    gain = np.divide(together, spread, out=np.ones_like(spread), where=spread > 0)
    gain = np.clip(gain, LEAST_GAIN, 1 / LEAST_GAIN)
    return gain, target[:, 0] - gain * centre[:, 0]


def evened(grey: NDArray[Any], found: Flicker, first_slice: int, params: IntensityParams) -> NDArray[Any]:
    """Apply each slice's gain and offset."""
    from porelay_preprocess.greys import typed

    out = np.empty_like(grey)
    for z, image in enumerate(grey):
        gain, offset = np.float32(found.gain[first_slice + z]), np.float32(found.offset[first_slice + z])
        out[z] = typed(image.astype(np.float32) * gain + offset, grey.dtype)
    return out


def tell(before: Source, after: Source, found: Flicker, params: IntensityParams) -> Facts:
    """Return the mean of each slice before and after, and how far both scatter from slice to slice."""
    mean = np.array(found.mean)
    evened_mean = mean * np.array(found.gain) + np.array(found.offset)
    slices = np.arange(mean.size, dtype=float).tolist()
    curves = {"before": (slices, mean.tolist()), "after": (slices, evened_mean.tolist())}
    numbers: dict[str, float | str] = {
        "flicker before, grey levels": scatter(mean),
        "flicker after, grey levels": scatter(evened_mean),
        "gain, least to greatest": f"{min(found.gain):.3f} to {max(found.gain):.3f}",
    }
    return Facts(numbers, (Series("Mean of each slice", "slice", "mean grey level", curves),))


def scatter(means: NDArray[np.float64]) -> float:
    """Return the root mean square step between neighbouring slices over the square root of two."""
    steps = np.diff(means)
    return float(np.sqrt(np.mean(np.square(steps)) / 2)) if steps.size else 0.0


@fitted(fit=find_flicker, apply=evened, tell=tell, work_bytes=4)
def intensity(grey: NDArray[Any], params: IntensityParams) -> NDArray[Any]:
    """Even out brightness and contrast from slice to slice (flicker).

    `grey` (z, y, x) of any dtype; the result has the same. Each slice gets the gain and offset that bring its
    quantiles to their running median along z. Raises BadInput where every voxel has the same grey level.
    """
    return whole(intensity, grey, params)
