"""A stack flows into a volume, slab by slab: one slab is read while the one before is written and looked at."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_ingest.storage import Storage
from porelay_ingest.watch import Watch, chunks, kept_bytes
from porelay_kit.bench import Bench
from porelay_kit.tiles import blocks, require
from porelay_kit.volumes import Volume
from porelay_schemas.stacks import Stack

Each = Callable[[int, NDArray[Any]], None]


def stream(stack: Stack, storage: Storage, volume: Volume, bench: Bench) -> Watch:
    """Write all slices of a stack to a volume; return what was seen on the way.

    Raises BadInput where a slice cannot be read or stored, TooLarge where two slabs do not fit the memory.
    """
    watch = Watch(volume.shape, volume.dtype.name, volume.kind)
    depth = volume.shard[0]
    require(bench, needed(stack, volume), "two slabs of slices and the sample for quality control")
    with ThreadPoolExecutor(max(1, bench.workers)) as pool, ThreadPoolExecutor(2) as ahead:
        waiting: list[Future[None]] = []
        for z0, slab in slabs(stack, depth):
            stored = storage.convert(slab, z0)
            for job in waiting:
                job.result()
            waiting = [ahead.submit(_write, volume, z0, stored), ahead.submit(watch.look, z0, stored, pool)]
            bench.progress((z0 + len(slab)) * slab[0].size, volume.ref.voxels)
        for job in waiting:
            job.result()
    return watch


def slabs(stack: Stack, depth: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield `(z0, slices)` in two buffers by turns: a slab is whole until the one after the next is asked for."""
    count, y, x = stack.facts.shape
    buffers = [np.empty((min(depth, count), y, x), stack.facts.dtype) for _ in range(1 if count <= depth else 2)]
    for turn, (z0, many) in enumerate(chunks(count, depth)):
        slab = buffers[turn % len(buffers)][:many]
        stack.read(z0, slab)
        yield z0, slab


def needed(stack: Stack, volume: Volume) -> int:
    """Return the bytes that streaming takes: two slabs as read, two as stored where that differs, and the sample."""
    voxels = min(volume.shard[0], volume.shape[0]) * volume.shape[1] * volume.shape[2]
    read = np.dtype(stack.facts.dtype).itemsize
    stored = volume.dtype.itemsize if volume.dtype.name != stack.facts.dtype else 0
    return voxels * 2 * (read + stored) + kept_bytes(volume.shape, volume.dtype.itemsize)


def _write(volume: Volume, z0: int, slab: NDArray[Any]) -> None:
    """Write a slab shard by shard, so that only one of them is held while it is packed."""
    for _, rows, columns in blocks((len(slab), *slab.shape[1:]), (0, *volume.shard[1:])):
        volume[z0 : z0 + len(slab), rows, columns] = slab[:, rows, columns]
