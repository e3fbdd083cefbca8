"""Grey classes of a volume, roughly."""

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from porelay_preprocess.levels import bin_edges, counted

ROUNDS = 200


def split(images: Callable[[], Iterable[NDArray[Any]]], classes: int) -> tuple[float, ...]:
    """Return the grey levels between `classes` classes of some slices (y, x), noise smoothed away (k-means).

    `images()` is called twice. There are fewer classes where there are fewer grey levels.
    """
    ends = [(float(image.min()), float(image.max())) for image in images()]
    edges = bin_edges(min(low for low, _ in ends), max(high for _, high in ends), np.float32)
    counts = np.zeros(edges.size - 1, np.int64)
    for image in images():
        counts += counted(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0), edges)
    grey, weight = (edges[:-1] + edges[1:])[counts > 0] / 2, counts[counts > 0]
    below = np.cumsum(weight) / weight.sum()
    means = np.unique(grey[np.searchsorted(below, (np.arange(classes) + 0.5) / classes)])
    for _ in range(ROUNDS):
        borders = (means[:-1] + means[1:]) / 2
        member = np.searchsorted(borders, grey)
        sizes = np.bincount(member, weight, minlength=means.size)
        moved = np.bincount(member, weight * grey, minlength=means.size) / np.maximum(sizes, 1)
        moved = np.where(sizes > 0, moved, means)
        if np.allclose(moved, means):
            break
        means = moved
    return tuple(((means[:-1] + means[1:]) / 2).tolist())
