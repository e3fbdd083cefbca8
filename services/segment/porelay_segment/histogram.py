"""Histograms of grey levels, streamed. They do not depend on how the volume is cut."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.errors import BadInput

MOST_BINS = 1024

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """`edges` (n + 1,) in grey levels, equally spaced, and `counts` (n,) of voxels."""

    edges: Floats
    counts: NDArray[np.int64]

    @property
    def centres(self) -> Floats:
        """Middle of each bin."""
        return np.asarray((self.edges[:-1] + self.edges[1:]) / 2)

    @property
    def levels(self) -> int:
        """How many bins hold anything."""
        return int(np.count_nonzero(self.counts))

    def within(self, low: float, high: float) -> float:
        """Return the share (0 to 1) of voxels between two grey levels, interpolated within bins."""
        below = np.concatenate([[0], np.cumsum(self.counts)])
        first, last = np.interp([low, high], self.edges, below)
        return float((last - first) / below[-1])


def counted(pieces: Callable[[], Iterable[NDArray[Any]]], method: str, *, smoothed: bool = False) -> Histogram:
    """Count all voxels of `pieces()`, which is called twice; `smoothed`: bins finer than integers are wanted.

    Raises BadInput where a value is not finite, or all are the same.
    """
    low, high, dtype = _extremes(pieces(), method)
    edges = bin_edges(low, high, dtype, smoothed=smoothed)
    counts = np.zeros(edges.size - 1, np.int64)
    for piece in pieces():
        counts += np.bincount(bins(piece, edges).ravel(), minlength=counts.size)
    return Histogram(edges, counts)


def _extremes(pieces: Iterable[NDArray[Any]], method: str) -> tuple[float, float, np.dtype[Any]]:
    low, high, dtype = np.inf, -np.inf, np.dtype(np.uint8)
    for piece in pieces:
        low, high, dtype = min(low, float(piece.min())), max(high, float(piece.max())), piece.dtype
        if not np.isfinite([low, high]).all():
            raise BadInput(f"{method}: the volume holds values that are not finite. Replace them before dropping it.")
    if low == high:
        raise BadInput(
            f"{method}: every voxel has grey level {low:g}, wanted at least two levels to tell phases apart. "
            "Look at the dropped stack; it may be empty or saturated."
        )
    return low, high, dtype


def bin_edges(low: float, high: float, dtype: np.dtype[Any], *, smoothed: bool = False) -> Floats:
    """Return the edges of the bins: around each integer where that makes at most 1024, else 1024 of equal width."""
    if dtype.kind in "ui" and not smoothed and high - low < MOST_BINS:
        return np.asarray(np.arange(low, high + 2) - 0.5)
    if dtype.kind in "ui" and not smoothed:
        width = int(-(-(high - low + 1) // MOST_BINS))
        return np.asarray(low - 0.5 + width * np.arange(-(-(high - low + 1) // width) + 1))
    return np.linspace(low, high, MOST_BINS + 1)


def bins(values: NDArray[Any], edges: Floats) -> NDArray[np.int64]:
    """Return the bin of each value."""
    scale = (edges.size - 1) / (edges[-1] - edges[0])
    index = ((values.astype(np.float64) - edges[0]) * scale).astype(np.int64)
    return np.asarray(np.clip(index, 0, edges.size - 2))
