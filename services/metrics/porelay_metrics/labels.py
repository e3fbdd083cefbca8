"""What a metric reads: label voxels, box by box, and the room there is for measuring them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase

Box = tuple[slice, slice, slice]
BLOCK: Axis3 = (128, 512, 512)
"""Voxels (z, y, x) that a streaming metric holds at once, a thread, if it may: a shard of the store's volumes."""
SMALLEST = 32
STREAMING_BYTES = 8
"""What it needs a voxel of its block: the block, its halo, what it is cut from while it is read."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Source(Protocol):
    """An array (z, y, x) of labels in memory or in the store: read by three slices, which are clipped."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along (z, y, x)."""

    def __getitem__(self, box: Any) -> Any: ...


def _nobody(share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Room:
    """Memory and threads that a metric may use; `tell` hears the shares of its work, as they are done."""

    max_bytes: int = 2**33
    workers: int = 1
    tell: Callable[[float], None] = field(default=_nobody)

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item], *, bytes_each: int = 0) -> list[Answer]:
        """Return `function` of each item in order, on as many threads as there is room for."""
        workers = min(self.workers, len(items), max(1, self.max_bytes // max(bytes_each, 1)))
        if workers <= 1:
            return [self._told(function(item), len(items)) for item in items]
        with ThreadPoolExecutor(workers) as pool:
            running = [pool.submit(function, item) for item in items]
            try:
                for future in as_completed(running):
                    self._told(future.result(), len(items))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [future.result() for future in running]

    def _told(self, answer: Answer, items: int) -> Answer:
        self.tell(1 / items)
        return answer


class Labels:
    """Labels (z, y, x), each the index of a phase; every value that is read is checked.

    A metric given a plain array makes one of these with `Labels.of`.
    """

    def __init__(self, source: Source, phases: Sequence[Phase], room: Room | None = None) -> None:
        if len(source.shape) != 3 or min(source.shape) < 1:
            raise BadInput(
                f"labels: shape {tuple(source.shape)}, wanted (z, y, x) with at least one voxel along each axis."
            )
        if not phases:
            raise BadInput("labels: no phase is named. Name one phase for each label.")
        self._source, self.phases, self.room = source, tuple(phases), room or Room()
        z, y, x = source.shape
        self.shape: Axis3 = (z, y, x)
        self.block = _block(self.room.max_bytes // self.room.workers)

    @classmethod
    def of(cls, source: "Source | Labels", phases: Sequence[Phase]) -> "Labels":
        """Return `source` itself where it is one already."""
        return source if isinstance(source, Labels) else cls(source, phases)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        z, y, x = self.shape
        return z * y * x

    def __getitem__(self, box: Box) -> NDArray[np.uint8]:
        """Read a box as uint8; raise BadInput where a label is no phase."""
        block = np.asarray(self._source[box])
        if block.dtype != np.uint8:
            self._check(block, int(block.min()))
        self._check(block, int(block.max()))
        return np.ascontiguousarray(block, np.uint8)

    def _check(self, block: NDArray[Any], value: int) -> None:
        if not 0 <= value < len(self.phases):
            count = int(np.count_nonzero(block == value))
            known = ", ".join(f"{index} {phase.name}" for index, phase in enumerate(self.phases))
            raise BadInput(
                f"labels: {count} voxels have the value {value}, but the phases are {known}. "
                "Name a phase for it in the plan, or map it to one of them (segment: labels)."
            )

    def whole(self) -> NDArray[np.uint8]:
        """Read everything."""
        return self[:, :, :]

    def total(
        self,
        function: Callable[[NDArray[np.uint8], Axis3, Axis3], NDArray[Any]],
        *,
        before: int = 0,
        after: int = 0,
        frame: int | None = None,
    ) -> NDArray[Any]:
        """Return the sum over blocks of `function(block, start, stop)`.

        A block has up to `before` and `after` more voxels at its two ends along each axis, fewer at the volume's
        borders; its own voxels are start <= (z, y, x) < stop in it. With `frame`, voxels of that value surround the
        volume, and the first layer of them beyond its upper ends belongs to the last blocks.
        """

        def one(box: Box) -> NDArray[Any]:
            block, origin = self._around(box, before, after, frame)
            start = [part.start - at for part, at in zip(box, origin, strict=True)]
            stop = [part.stop - at for part, at in zip(box, origin, strict=True)]
            return function(block, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

        z, y, x = (size + (frame is not None) for size in self.shape)
        parts = self.room.map(one, list(boxes((z, y, x), self.block)))
        return np.asarray(sum(parts[1:], start=parts[0]))

    def _around(self, box: Box, before: int, after: int, frame: int | None) -> tuple[NDArray[np.uint8], list[int]]:
        """Return a block and the index of its first voxel in the volume."""
        wide = [(part.start - before, part.stop + after) for part in box]
        inside = [(max(low, 0), min(high, size)) for (low, high), size in zip(wide, self.shape, strict=True)]
        z, y, x = (slice(low, high) for low, high in inside)
        block = self[z, y, x]
        if frame is None:
            return block, [low for low, _ in inside]
        more = [(low - wider, further - high) for (low, high), (wider, further) in zip(inside, wide, strict=True)]
        return np.pad(block, more, constant_values=frame), [low for low, _ in wide]


def _block(max_bytes: int) -> Axis3:
    block = list(BLOCK)
    while STREAMING_BYTES * int(np.prod(block)) > max_bytes and max(block) > SMALLEST:
        block[block.index(max(block))] //= 2
    return block[0], block[1], block[2]


def boxes(shape: Axis3, size: Axis3) -> Iterator[Box]:
    """Yield boxes that tile the volume, the last ones clipped."""
    starts = [range(0, length, step) for length, step in zip(shape, size, strict=True)]
    for corner in product(*starts):
        z, y, x = (slice(at, min(at + step, end)) for at, step, end in zip(corner, size, shape, strict=True))
        yield z, y, x
