"""Features of a bounded number of voxels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3
from porelay_schemas.frames import Box, Source
from porelay_segment.boxes import boxes, widened
from porelay_segment.features import Describer

TILE: Axis3 = (24, 64, 64)
MOST_TILES = 96

Floats = NDArray[np.float64]


def sampled(source: Source, describe: Describer, most: int, seed: int) -> Floats:
    """Return features (f, n) of at most `most` voxels, drawn from boxes that are drawn from a tiling."""
    rng = np.random.default_rng(seed)
    everywhere = list(boxes(source.shape, TILE))
    drawn = rng.choice(len(everywhere), size=min(len(everywhere), MOST_TILES), replace=False)
    found = np.concatenate([_of_box(source, everywhere[number], describe) for number in np.sort(drawn)], axis=1)
    if found.shape[1] > most:
        found = found[:, np.sort(rng.choice(found.shape[1], size=most, replace=False))]
    return found.astype(np.float64)


def of_region(source: Source, region: Box, describe: Describer, most: int) -> Floats:
    """Return features (f, n) of a region's voxels, of every n-th where it has more than `most`."""
    return np.concatenate(list(_pieces(source, region, describe, most)), axis=1).astype(np.float64)


def _pieces(source: Source, region: Box, describe: Describer, most: int) -> Iterator[NDArray[np.float32]]:
    size = [part.stop - part.start for part in region]
    step = max(1, size[0] * size[1] * size[2] // most)
    for box in boxes((size[0], size[1], size[2]), TILE):
        z, y, x = (slice(part.start + at.start, part.stop + at.start) for part, at in zip(box, region, strict=True))
        yield _of_box(source, (z, y, x), describe)[:, ::step]


def _of_box(source: Source, box: Box, describe: Describer) -> NDArray[np.float32]:
    wide, core = widened(box, describe.halo, source.shape)
    values = describe(source[wide])
    return values[(slice(None), *core)].reshape(len(values), -1)
