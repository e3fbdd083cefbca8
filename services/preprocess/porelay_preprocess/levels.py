"""Statistics of a whole stack, streamed; none depends on how many slices come at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.errors import BadInput
from porelay_schemas.frames import Source

BINS = 65536


@dataclass(frozen=True)
class Counts:
    """A histogram: `edges` (n + 1,) in grey levels and `counts` (n,)."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    def quantiles(self, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return grey levels below which those fractions (0 to 1) of the voxels lie, interpolated within bins."""
        below = np.concatenate([[0], np.cumsum(self.counts)]) / self.counts.sum()
        return np.interp(fractions, below, self.edges)

    @property
    def extremes(self) -> tuple[float, float]:
        """Return the centres of the first and the last bin that holds anything."""
        filled = np.flatnonzero(self.counts)
        centres = (self.edges[:-1] + self.edges[1:]) / 2
        return float(centres[filled[0]]), float(centres[filled[-1]])


def extremes(volume: Source) -> tuple[float, float]:
    """Return the darkest and the brightest grey level; raise BadInput where a voxel is not a number."""
    low, high = np.inf, -np.inf
    for z0, slices in volume.slabs():
        darkest, brightest = float(slices.min()), float(slices.max())
        if not np.isfinite([darkest, brightest]).all():
            z = next(z for z in range(slices.shape[0]) if not np.isfinite(slices[z]).all())
            raise BadInput(f"slice {z0 + z}: holds values that are not finite. Replace them before dropping the stack.")
        low, high = min(low, darkest), max(high, brightest)
    return low, high


def differing(low: float, high: float, method: str) -> None:
    """Raise BadInput where a stack has one grey level only."""
    if not low < high:
        raise BadInput(
            f"{method}: every voxel has grey level {low:g}, wanted at least two levels. "
            "Look at the dropped stack; it may be empty or saturated."
        )


def mean_and_sigma(volume: Source) -> tuple[float, float]:
    """Return mean and standard deviation, from sums of each slice about the first slice's mean."""
    origin, sums = 0.0, np.zeros(2)
    for z0, slices in volume.slabs():
        for z in range(slices.shape[0]):
            values = slices[z].astype(np.float64)
            origin = float(values.mean()) if z0 + z == 0 else origin
            values -= origin
            sums += values.sum(), np.square(values).sum()
    count = float(np.prod([float(size) for size in volume.shape]))
    offset = sums[0] / count
    return origin + float(offset), float(np.sqrt(max(sums[1] / count - offset**2, 0.0)))


def histogram(volume: Source) -> Counts:
    """Count the grey levels: exactly for integers, in 65536 bins between the extremes otherwise."""
    low, high = extremes(volume)
    edges = bin_edges(low, high, volume.dtype)
    counts = np.zeros(edges.size - 1, np.int64)
    for _, slices in volume.slabs():
        for image in slices:
            counts += counted(image, edges)
    return Counts(edges, counts)


def bin_edges(low: float, high: float, dtype: Any) -> NDArray[np.float64]:
    """Return the edges of the bins: around each integer, or 65536 equal ones."""
    if np.dtype(dtype).kind in "ui":
        return np.arange(low, high + 2) - 0.5
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def counted(image: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count one image into bins of equal width."""
    bins = edges.size - 1
    if image.dtype.kind in "ui":
        return np.bincount((image.astype(np.int64) - int(edges[0] + 0.5)).ravel(), minlength=bins)
    scale = bins / (edges[-1] - edges[0])
    index = ((image.astype(np.float64) - edges[0]) * scale).astype(np.int64)
    return np.bincount(np.clip(index, 0, bins - 1).ravel(), minlength=bins)
