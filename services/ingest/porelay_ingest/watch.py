"""Statistics for quality control, gathered while a stack streams by: one pass, bounded memory."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from porelay_ingest.thumbs import SIDE, Thumb, compare, reduction, thumb
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.stacks import Sample, SliceStatistics, StackFacts
from porelay_schemas.volumes import Kind

SHARES = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
PLANES, PLANE_SIDE = 16, 1024
AT_ONCE = 32
"""Slices whose small pictures are held at a time."""
KEPT_FLOATS = 2**22
BINS = 1024
MOST_COUNTED = 2**24
"""OpenCV counts in float32, exact up to here."""


class Watch:
    """Look at every slice once, in order; then ask for the sample."""

    def __init__(self, shape: Axis3, dtype: str, kind: Kind) -> None:
        self.shape, self.dtype, self.kind = shape, np.dtype(dtype), kind
        depth = shape[0]
        self.mean = np.zeros(depth)
        self.quantiles = np.zeros((depth, len(SHARES)))
        self.digest = np.zeros(depth, np.int64)
        self.shift = np.full((depth, 2), np.nan)
        self.similarity = np.full(depth, np.nan)
        self.lowest, self.highest = np.zeros(depth), np.zeros(depth)
        self.counts = np.zeros(0 if self.dtype.kind == "f" else np.iinfo(self.dtype).max + 1, np.int64)
        self.floats: list[NDArray[Any]] = []
        self.planes_z = np.unique(np.linspace(0, depth - 1, min(depth, PLANES)).round().astype(int))
        self.planes: list[NDArray[Any]] = []
        self.before: Thumb | None = None
        self.lock = threading.Lock()

    def look(self, z0: int, slab: NDArray[Any], pool: ThreadPoolExecutor) -> None:
        """Take in the slices (n, y, x) of stored voxels from `z0` on."""
        wanted = self.planes_z[(self.planes_z >= z0) & (self.planes_z < z0 + len(slab))]
        self.planes += [middle(slab[z - z0], PLANE_SIDE).copy() for z in wanted]
        for start in range(0, len(slab), AT_ONCE):
            some = slab[start : start + AT_ONCE]
            self._compare(z0 + start, list(pool.map(self._seen, range(z0 + start, z0 + start + len(some)), some)), pool)

    def _seen(self, z: int, plane: NDArray[Any]) -> tuple[NDArray[Any] | None, Thumb]:
        """Count and picture a slice in one go: its second reading comes from the processor's cache."""
        return self._slice(z, plane), thumb(plane)

    def _compare(self, z0: int, seen: list[tuple[NDArray[Any] | None, Thumb]], pool: ThreadPoolExecutor) -> None:
        self.floats += [kept for kept, _ in seen if kept is not None]
        thumbs = [small for _, small in seen]
        self.digest[z0 : z0 + len(thumbs)] = [small.digest for small in thumbs]
        known = [self.before, *thumbs] if self.before else thumbs
        first = z0 + len(thumbs) - len(known) + 1
        for _ in pool.map(self._pair, range(first, z0 + len(thumbs)), pairwise(known)):
            pass
        self.before = thumbs[-1]

    def _slice(self, z: int, plane: NDArray[Any]) -> NDArray[Any] | None:
        """Note the statistics of a slice; return some of its voxels where they are floats."""
        if self.dtype.kind == "f":
            kept = spread(plane, max(64, KEPT_FLOATS // self.shape[0]))
            self.mean[z], self.lowest[z], self.highest[z] = plane.mean(dtype=np.float64), plane.min(), plane.max()
            self.quantiles[z] = np.quantile(kept, SHARES)
            return kept
        counts = histogram(plane)
        found = np.flatnonzero(counts)
        self.lowest[z], self.highest[z] = found[0], found[-1]
        self.mean[z] = counts @ np.arange(counts.size) / plane.size
        self.quantiles[z] = np.searchsorted(np.cumsum(counts), SHARES * plane.size)
        with self.lock:
            self.counts += counts
        return None

    def _pair(self, z: int, pair: tuple[Thumb, Thumb]) -> None:
        shift, self.similarity[z] = compare(*pair)
        self.shift[z] = shift * reduction(self.shape[1:])

    def levels(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the histogram: values, and how many voxels have each."""
        if self.dtype.kind != "f":
            found = np.flatnonzero(self.counts)
            span = slice(found[0], found[-1] + 1)
            return np.arange(self.counts.size, dtype=np.float64)[span], self.counts[span]
        values = np.concatenate(self.floats)
        counts, edges = np.histogram(
            values, BINS, tuple(np.quantile(values, [0.0001, 0.9999])) if np.ptp(values) else None
        )
        return (edges[1:] + edges[:-1]) / 2, counts

    @property
    def single_level(self) -> float | None:
        """The one value that all voxels have, None where they differ."""
        low, high = float(self.lowest.min()), float(self.highest.max())
        return low if low == high else None

    def values(self) -> list[int]:
        """Return the distinct values of an integer stack."""
        return [int(value) for value in np.flatnonzero(self.counts)]

    def sample(self, facts: StackFacts, voxel_um: VoxelUm, phases: int) -> Sample:
        """Return what checks look at."""
        levels, counts = self.levels()
        lowest, highest = self._extremes(counts)
        return Sample(
            kind=self.kind,
            shape=self.shape,
            voxel_um=voxel_um,
            dtype=self.dtype.name,
            phases=phases,
            levels=levels,
            counts=counts,
            share_lowest=lowest,
            share_highest=highest,
            slices=SliceStatistics(self.mean, self.quantiles, self.digest, self.shift, self.similarity),
            planes=np.stack(self.planes),
            planes_z=self.planes_z,
            names=facts.names,
            missing=facts.missing,
        )

    def _extremes(self, counts: NDArray[Any]) -> tuple[float, float]:
        if self.dtype.kind != "f":
            return float(counts[0] / counts.sum()), float(counts[-1] / counts.sum())
        values = np.concatenate(self.floats)
        return float((values == self.lowest.min()).mean()), float((values == self.highest.max()).mean())


def kept_bytes(shape: Axis3, itemsize: int) -> int:
    """Return the bytes that watching takes: planes, small pictures and their spectra, kept voxels."""
    planes = PLANES * min(shape[1], PLANE_SIDE) * min(shape[2], PLANE_SIDE) * itemsize
    thumbs = 8 * min(AT_ONCE, shape[0]) * min(SIDE, shape[1]) * min(SIDE, shape[2])
    return planes + thumbs + (4 * KEPT_FLOATS if itemsize == 4 else 0)


def histogram(plane: NDArray[Any]) -> NDArray[np.int64]:
    """Count the values of a uint8 or uint16 image."""
    levels = np.iinfo(plane.dtype).max + 1
    counts = np.zeros(levels, np.int64)
    rows = max(1, MOST_COUNTED // plane.shape[1])
    for start in range(0, plane.shape[0], rows):
        counts += cv2.calcHist([plane[start : start + rows]], [0], None, [levels], [0, levels]).ravel().astype(np.int64)
    return counts


def spread(plane: NDArray[Any], count: int) -> NDArray[Any]:
    """Return about `count` voxels of an image, in even steps that share no divisor with its rows."""
    step = max(1, plane.size // count)
    while step > 1 and plane.shape[1] % step == 0:
        step += 1
    return plane.reshape(-1)[::step].copy()


def middle(plane: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the middle of an image, at most `side` pixels long."""
    starts = [max(0, (size - side) // 2) for size in plane.shape]
    return plane[starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def chunks(depth: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield first slice and number of slices of consecutive slabs."""
    for z0 in range(0, depth, step):
        yield z0, min(step, depth - z0)
