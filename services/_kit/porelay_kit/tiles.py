"""Chunk-by-chunk work on volumes larger than memory: on threads, or on a Dask cluster.

Blocks are whole shards of the target, so that no two writers meet in one shard.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from porelay_kit.volumes import Box, Volume
from porelay_schemas.base import Axis3
from porelay_schemas.errors import TooLarge

if TYPE_CHECKING:
    from porelay_kit.bench import Bench

BYTES_PER_VOXEL = 16
"""What a block is reckoned to need per voxel while it is worked on: input and output in float32, and temporaries."""


def blocks(shape: Axis3, tile: Axis3) -> Iterator[Box]:
    """Yield the boxes of a regular tiling, the last ones clipped; a tile entry of 0 means the whole axis."""
    steps = [size if step == 0 else step for size, step in zip(shape, tile, strict=True)]
    starts = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    for corner in product(*starts):
        z, y, x = (slice(at, min(at + step, size)) for at, step, size in zip(corner, steps, shape, strict=True))
        yield z, y, x


def map_blocks(
    function: Callable[[NDArray[Any]], NDArray[Any]],
    source: Volume,
    target: Volume,
    *,
    halo: Axis3 = (0, 0, 0),
    tile: Axis3 | None = None,
    bench: "Bench",
) -> None:
    """Apply a local function to a volume, block by block.

    `function` gets a block with up to `halo` more voxels on each side (fewer at the volume's borders) and returns an
    array of the same shape, of which the core is written. `tile` defaults to the target's shard; its entries must be
    multiples of the shard's, 0 for a whole axis.
    """
    tile = tile or target.shard
    size = [s if t == 0 else min(t, s) for t, s in zip(tile, source.shape, strict=True)]
    block_bytes = BYTES_PER_VOXEL
    for length, more in zip(size, halo, strict=True):
        block_bytes *= length + 2 * more
    require(bench, block_bytes, "one block")
    workers = max(1, min(bench.workers, bench.max_memory_bytes // block_bytes))
    done = 0
    tasks = (_Task(function, source, target, box, halo) for box in blocks(target.shape, tile))
    for task in _finished(tasks, workers):
        done += task.voxels
        bench.progress(done, target.ref.voxels)


class _Task:
    """One block: read with halo, compute, write the core. Travels to a Dask worker as it is."""

    def __init__(
        self, function: Callable[[NDArray[Any]], NDArray[Any]], source: Volume, target: Volume, box: Box, halo: Axis3
    ) -> None:
        self.function, self.source, self.target, self.box, self.halo = function, source, target, box, halo

    @property
    def voxels(self) -> int:
        z, y, x = (part.stop - part.start for part in self.box)
        return int(z * y * x)

    def __call__(self) -> "_Task":
        wide = widen(self.box, self.halo, self.source.shape)
        result = self.function(self.source[wide])
        core = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(self.box, wide, strict=True))
        self.target[self.box] = result[core]
        return self


def widen(box: Box, halo: Axis3, shape: Axis3) -> Box:
    """Return the box with a halo, clipped to the volume."""
    z, y, x = (
        slice(max(part.start - more, 0), min(part.stop + more, size))
        for part, more, size in zip(box, halo, shape, strict=True)
    )
    return z, y, x


def _finished(tasks: Iterable[_Task], workers: int) -> Iterator[_Task]:
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if address:
        from distributed import Client, as_completed

        with Client(address) as client:
            yield from (future.result() for future in as_completed(client.map(_call, list(tasks), pure=False)))
        return
    tasks = iter(tasks)
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(task) for task in islice(tasks, workers)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(task) for task in islice(tasks, len(ended))}
            yield from (future.result() for future in ended)


def _call(task: _Task) -> _Task:
    return task()


def require(bench: "Bench", needed: int, what: str) -> None:
    """Raise TooLarge where `what` needs more bytes than the stage may use."""
    if needed > bench.max_memory_bytes:
        raise TooLarge(
            f"{bench.artifact.stage}: {what} needs {needed / 2**20:,.0f} MiB of memory, the limit is "
            f"{bench.max_memory_bytes / 2**20:,.0f} MiB. Raise it with --max-memory, or use a smaller volume "
            "(preprocess: crop or resample)."
        )
