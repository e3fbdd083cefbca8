"""Lengths of the chords that lines along an axis cut out of each phase.

A chord counts when both of its ends lie inside the volume. Long chords do so less often; each counts with the inverse
of the number of places where it would have (Miles and Lantuejoul's correction), which makes the distribution that of
the unbounded material, up to the length of the volume.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.jit import kernel
from porelay_metrics.labels import Box, Labels, boxes


def count_chords(labels: Labels) -> tuple[NDArray[np.int64], ...]:
    """Count the chords of each phase inside a volume along z, y and x: arrays (phase, length in voxels)."""
    columns = [(axis, column) for axis in range(3) for column in _columns(labels, axis)]
    found = labels.room.map(lambda column: _count_column(labels, *column), columns)
    totals = tuple(np.zeros((len(labels.phases), size + 1), np.int64) for size in labels.shape)
    for (axis, _), counts in zip(columns, found, strict=True):
        totals[axis][:] += counts
    return totals


def _columns(labels: Labels, axis: int) -> Iterator[Box]:
    """Yield boxes that are whole along the axis."""
    z, y, x = (labels.shape[other] if other == axis else step for other, step in enumerate(labels.block))
    return boxes(labels.shape, (z, y, x))


def _count_column(labels: Labels, axis: int, column: Box) -> NDArray[np.int64]:
    """Follow all lines of a column, one block after the other."""
    counts = np.zeros((len(labels.phases), labels.shape[axis] + 1), np.int64)
    lines = [part.stop - part.start for other, part in enumerate(column) if other != axis]
    label, length = np.full(lines, -1, np.int16), np.zeros(lines, np.int32)
    step = labels.block[axis]
    for start in range(0, labels.shape[axis], step):
        box = list(column)
        box[axis] = slice(start, min(start + step, labels.shape[axis]))
        block = np.ascontiguousarray(np.moveaxis(labels[box[0], box[1], box[2]], axis, -1))
        _follow(block, label, length, counts)
    return counts


@kernel
def _follow(block: Any, label: Any, length: Any, counts: Any) -> None:
    """Continue the runs along the last axis. A run that began at the border has a negative length."""
    for j in range(block.shape[0]):
        for i in range(block.shape[1]):
            run, size, line = label[j, i], length[j, i], block[j, i]
            for k in range(block.shape[2]):
                if line[k] == run:
                    size += 1 if size > 0 else -1
                else:
                    if size > 0:
                        counts[run, size] += 1
                    size = 1 if run >= 0 else -1
                    run = line[k]
            label[j, i], length[j, i] = run, size


def weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each length 0 .. N among the chords of the unbounded material; all 0 where there is none."""
    size = counts.shape[-1] - 1
    places = np.maximum(size - 1 - np.arange(size + 1), 1)
    weighted = counts / places
    total = weighted.sum(-1, keepdims=True)
    return np.asarray(np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0))
