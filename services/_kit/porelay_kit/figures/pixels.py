"""From slices of volumes to coloured pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures.look import OTHER, rgb
from porelay_schemas.plan import Phase

Pixels = NDArray[np.uint8]


def window_of(images: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the grey levels shown as black and white: the 0.5 and 99.5 percentiles of the finite pixels."""
    finite = [image[np.isfinite(image)] for image in images]
    values = np.concatenate([part[:: max(1, part.size // 1_000_000)] for part in finite]).astype(np.float64)
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (0.5, 99.5))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(low) + 0.5)


def fit_nearest(image: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Take the pixels nearest to the centres of a grid of that size."""
    return image[np.ix_(_nearest(image.shape[0], rows), _nearest(image.shape[1], columns))]


def fit_mean(image: NDArray[Any], rows: int, columns: int) -> NDArray[np.float32]:
    """Average a grey image (rows, columns) over the cells of a coarser grid; where the grid is finer, repeat pixels."""
    shrunk: NDArray[Any] = image.astype(np.float32)
    for axis, wanted in enumerate((rows, columns)):
        size = shrunk.shape[axis]
        if size > wanted:
            starts = np.arange(wanted) * size // wanted
            counts = np.diff(np.append(starts, size)).astype(np.float32)
            shrunk = np.add.reduceat(shrunk, starts, axis=axis) / (counts[:, None] if axis == 0 else counts)
    return np.asarray(fit_nearest(shrunk, rows, columns), np.float32)


def centres(size: int, wanted: int) -> NDArray[np.intp]:
    """Return the indices nearest to the centres of `wanted` equal parts, or all where there are no more."""
    return np.arange(size) if size <= wanted else _nearest(size, wanted)


def _nearest(size: int, wanted: int) -> NDArray[np.intp]:
    return ((np.arange(wanted) + 0.5) * size / wanted).astype(np.intp)


def colour_grey(image: NDArray[Any], window: tuple[float, float]) -> Pixels:
    """Map grey levels to (rows, columns, 3) bytes; what is not finite turns red."""
    low, high = window
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (image.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    bad = ~np.isfinite(scaled)
    scaled[bad] = 0
    grey = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    pixels = np.repeat(grey[..., None], 3, axis=2)
    pixels[bad] = (214, 39, 40)
    return pixels


def colour_table(phases: Sequence[Phase]) -> Pixels:
    """Return the colours of the labels 0 to 255, shape (256, 3)."""
    table = np.tile(rgb(OTHER), (256, 1))
    for label, phase in enumerate(phases):
        table[label] = rgb(phase.colour)
    return table


def colour_labels(labels: NDArray[Any], phases: Sequence[Phase]) -> Pixels:
    """Map labels to the colours of their phases, shape (rows, columns, 3)."""
    return colour_table(phases)[as_bytes(labels)]


def as_bytes(labels: NDArray[Any]) -> Pixels:
    """Return labels as uint8; those that no phase can have become 255."""
    if labels.dtype == np.uint8:
        return labels
    return np.where((labels >= 0) & (labels < 255), labels, 255).astype(np.uint8)


def blend(grey: Pixels, labels: NDArray[Any], phases: Sequence[Phase]) -> Pixels:
    """Tint grey pixels with the colours of their phases; the borders between phases are drawn solid."""
    colours = colour_labels(labels, phases).astype(np.float32)
    share = np.where(_borders(labels), 0.95, 0.36)[..., None].astype(np.float32)
    return np.rint(grey * (1 - share) + colours * share).astype(np.uint8)


def _borders(labels: NDArray[Any]) -> NDArray[np.bool_]:
    border = np.zeros(labels.shape, bool)
    border[:-1] |= labels[:-1] != labels[1:]
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return border
