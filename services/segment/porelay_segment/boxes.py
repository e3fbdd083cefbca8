"""Walk over a volume in boxes of bounded size, with a halo where neighbours are needed."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from numpy.typing import NDArray

from porelay_schemas.base import Axis3
from porelay_schemas.frames import Box, Source

TILE: Axis3 = (64, 128, 128)


def boxes(shape: Axis3, tile: Axis3 = TILE) -> Iterator[Box]:
    """Yield boxes that cover a volume once."""
    for z, y, x in product(*(range(0, size, step) for size, step in zip(shape, tile, strict=True))):
        yield (
            slice(z, min(z + tile[0], shape[0])),
            slice(y, min(y + tile[1], shape[1])),
            slice(x, min(x + tile[2], shape[2])),
        )


def widened(box: Box, halo: Axis3, shape: Axis3) -> tuple[Box, Box]:
    """Return a box with a halo, clipped to the volume, and where the box itself lies in it."""
    wide = [
        slice(max(part.start - more, 0), min(part.stop + more, size))
        for part, more, size in zip(box, halo, shape, strict=True)
    ]
    core = [slice(part.start - w.start, part.stop - w.start) for part, w in zip(box, wide, strict=True)]
    return (wide[0], wide[1], wide[2]), (core[0], core[1], core[2])


def pieces(source: Source) -> Iterator[NDArray[Any]]:
    """Yield the whole volume, box by box."""
    for box in boxes(source.shape):
        yield source[box]
