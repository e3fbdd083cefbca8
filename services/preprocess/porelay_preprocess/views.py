"""A volume as it would look after a filter: computed where and when it is read.

Views stand on volumes or on other views, so a run of filters is computed in one pass, block by block, each asking
the one below for the halo that it needs. What is read does not depend on how it is cut.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3, Params, VoxelUm
from porelay_schemas.filters import Filter, Place, filter_of
from porelay_schemas.frames import Box, Frame, Source, frame_of, full_box


@dataclass(frozen=True)
class Filtered:
    """`source` seen through a filter; `labels`: through what the filter does to label volumes.

    Boxes that would take more than `limit` bytes are computed in pieces.
    """

    source: Source
    function: Callable[..., Any]
    params: Params
    model: Any
    labels: bool = False
    limit: int = 2**62

    @property
    def filter(self) -> Filter:
        """What the filter declares."""
        return filter_of(self.function)

    @cached_property
    def frame(self) -> Frame:
        """Extent of what is seen; raises BadInput where the parameters do not fit the source."""
        frame = self.filter.frame(frame_of(self.source), self.model, self.params)
        return Frame(frame.shape, frame.voxel_um, str(self.source.dtype)) if self.labels else frame

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""
        return self.frame.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        return np.dtype(self.frame.dtype)

    @property
    def voxel_um(self) -> VoxelUm:
        """Edge lengths of a voxel along (z, y, x), in micrometres."""
        return self.frame.voxel_um

    def needs(self, box: Box) -> Box:
        """Return the box of the source that a box is computed from."""
        return self.filter.needs(box, frame_of(self.source), self.model, self.params)

    def __getitem__(self, box: Any) -> NDArray[Any]:
        """Compute a box of slices along (z, y, x), in pieces where `limit` asks for it."""
        wanted = clipped(box, self.shape)
        pieces = list(bites(self, wanted))
        if len(pieces) == 1:
            return self._computed(wanted)
        out = np.empty([part.stop - part.start for part in wanted], self.dtype)
        for piece in pieces:
            z, y, x = (slice(p.start - w.start, p.stop - w.start) for p, w in zip(piece, wanted, strict=True))
            out[z, y, x] = self._computed(piece)
        return out

    def _computed(self, wanted: Box) -> NDArray[Any]:
        needed = self.needs(wanted)
        apply = self.filter.labels if self.labels else self.filter.apply
        assert apply is not None
        return apply(self.source[needed], Place(needed, wanted, frame_of(self.source)), self.model, self.params)

    def slabs(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield slice after slice."""
        for z in range(self.shape[0]):
            yield z, self[z : z + 1]

    def cost(self, box: Box) -> int:
        """Return the bytes that this filter takes for a box in one piece, without those of the views below."""
        inside = voxels(self.needs(box))
        found: int = inside * (np.dtype(self.source.dtype).itemsize + self.filter.work_bytes)
        return found + voxels(box) * self.dtype.itemsize

    @property
    def least_cost(self) -> int:
        """Bytes that one voxel takes, here or further down: what no cutting can save."""
        below = self.source.least_cost if isinstance(self.source, Filtered) else 0
        return max(below, *(self.cost(voxel) for voxel in _corner_and_middle(self.shape)))


def _corner_and_middle(shape: Axis3) -> tuple[Box, Box]:
    z, y, x = (slice(size // 2, size // 2 + 1) for size in shape)
    return (slice(0, 1), slice(0, 1), slice(0, 1)), (z, y, x)


def bites(view: Filtered, box: Box) -> Iterator[Box]:
    """Halve a box until each piece keeps to the view's limit, or halving hardly helps any more."""
    cost = view.cost(box)
    halves = [two for axis in range(3) if (two := halved(box, axis))]
    if cost <= view.limit or not halves:
        yield box
        return
    first, second = min(halves, key=lambda two: max(map(view.cost, two)))
    if max(view.cost(first), view.cost(second)) > 0.95 * cost:
        yield box
        return
    yield from bites(view, first)
    yield from bites(view, second)


def halved(box: Box, axis: int) -> tuple[Box, Box] | None:
    """Return the two halves of a box, None where it is one voxel thick."""
    part = box[axis]
    middle = (part.start + part.stop) // 2
    if middle == part.start:
        return None
    first, second = list(box), list(box)
    first[axis], second[axis] = slice(part.start, middle), slice(middle, part.stop)
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])


def voxels(box: Box) -> int:
    """Return how many voxels a box has."""
    z, y, x = (part.stop - part.start for part in box)
    return int(z * y * x)


def clipped(box: Any, shape: Axis3) -> Box:
    """Return three slices with ends inside the volume, as NumPy understands them."""
    parts = box if isinstance(box, tuple) else (box,)
    parts += (slice(None),) * (3 - len(parts))
    z, y, x = (slice(*part.indices(size)[:2]) for part, size in zip(parts, shape, strict=True))
    return z, y, x


def reach(view: Filtered, *, deep: bool = True) -> Literal["voxel", "block", "slice"]:
    """Return what a voxel is computed from: itself, a block about it, or its slice. `deep`: further down too."""
    _, box = _corner_and_middle(view.shape)
    source: Source = view
    while isinstance(source, Filtered):
        box, source = source.needs(box), source.source
        if not deep:
            break
    if voxels(box) == 1:
        return "voxel"
    return "slice" if box[1:] == full_box(source.shape)[1:] else "block"
