"""Thresholds that split a histogram best."""

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.errors import BadInput
from porelay_segment.histogram import Histogram


def multi_otsu(found: Histogram, classes: int) -> tuple[float, ...]:
    """Return the `classes` - 1 grey levels between which the variance within classes is least (Otsu 1979).

    Exact for any number of classes, by dynamic programming over the bins. A threshold lies at the upper edge of the
    last occupied bin of a class, or midway across the empty bins behind it. Raises BadInput where the histogram has
    fewer levels than classes.
    """
    if found.levels < classes:
        raise BadInput(
            f"otsu: the volume has {found.levels} grey levels, wanted at least {classes}, one for each phase. "
            "If it is segmented already, drop it as labels and use 'labels'; otherwise take phases out of the plan."
        )
    occupied = np.flatnonzero(found.counts)
    splits = _best_splits(found.centres[occupied], found.counts[occupied].astype(np.float64), classes)
    last, first = found.edges[occupied[splits - 1] + 1], found.edges[occupied[splits]]
    return tuple(float(level) for level in (last + first) / 2)


def _best_splits(grey: NDArray[np.float64], weight: NDArray[np.float64], classes: int) -> NDArray[np.int64]:
    """Return where classes 1, 2, ... begin, for values sorted ascending."""
    zero = np.concatenate([[0.0], np.cumsum(weight)])
    one = np.concatenate([[0.0], np.cumsum(weight * (grey - grey.mean()))])
    size = grey.size
    best = np.concatenate([[0.0], one[1:] ** 2 / zero[1:]])
    begins = np.zeros((classes, size + 1), np.int64)
    for number in range(1, classes):
        longer = np.full(size + 1, -np.inf)
        for end in range(number + 1, size + 1):
            begin = np.arange(number, end)
            between = best[begin] + (one[end] - one[begin]) ** 2 / (zero[end] - zero[begin])
            begins[number, end] = begin[np.argmax(between)]
            longer[end] = between.max()
        best = longer
    splits, end = [], size
    for number in range(classes - 1, 0, -1):
        end = int(begins[number, end])
        splits.append(end)
    return np.array(splits[::-1], np.int64)
