"""Small pictures of slices that tell how neighbours differ: their shift, and their likeness after it.

Cross-correlation of band-passed pictures under a Hann window, its peak refined by a parabola: on noisy, curtained
slices it is as exact as phase correlation, and it has no preferred shift. (OpenCV's phaseCorrelate is half a pixel off
wherever it pads to an odd size.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

SIDE, MARGIN = 256, 16
"""Longest side of a small picture, and the share of a slice that is left out on each side of it."""


@dataclass(frozen=True)
class Thumb:
    """A small picture (y, x) float32, its spectrum under a window, and a digest of its pixels."""

    image: NDArray[Any]
    spectrum: NDArray[Any]
    digest: int


def reduction(size: Sequence[int]) -> int:
    """Return by how much small pictures are smaller than a slice (y, x)."""
    return -(-(max(size) - 2 * (max(size) // MARGIN)) // SIDE)


def thumb(plane: NDArray[Any]) -> Thumb:
    """Return the structure of a slice, small: its inner part, without an info bar, free of noise and shading."""
    rows, columns = (size // MARGIN for size in plane.shape)
    inner = plane[rows : plane.shape[0] - rows, columns : plane.shape[1] - columns]
    small = _reduced(inner, reduction(plane.shape)).astype(np.float32)
    wide = max(3, min(small.shape) // 8 * 2 + 1)
    flat = cv2.GaussianBlur(small, (0, 0), 1.0) - cv2.blur(small, (wide, wide))
    flat -= flat.mean()
    return Thumb(flat, fft.rfft2(flat * _window(small.shape[0], small.shape[1])), crc32(small.tobytes()))


def compare(before: Thumb, after: Thumb) -> tuple[NDArray[np.float64], float]:
    """Return the shift (y, x) of a small picture against the one before, and their correlation after it.

    A shift that does not raise the correlation is not one.
    """
    still = correlation(before.image, after.image)
    if before.digest == after.digest:
        return np.zeros(2), still
    shift = _shift(before, after)
    rows, columns = before.image.shape
    back = np.array([[1, 0, -shift[1]], [0, 1, -shift[0]]], np.float32)
    moved = cv2.warpAffine(after.image, back, (columns, rows))
    y, x = (min(int(abs(move)) + 1, size // 4) for move, size in zip(shift, (rows, columns), strict=True))
    core = (slice(y, rows - y), slice(x, columns - x))
    alike = correlation(before.image[core], moved[core])
    return (shift, alike) if alike > still else (np.zeros(2), still)


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return Pearson's correlation of two images; of flat ones, whether they are equal."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return float(np.vdot(a, b)) / norm if norm > 0 else float(not a.any() and not b.any())


def _shift(before: Thumb, after: Thumb) -> NDArray[np.float64]:
    """Return where the cross-correlation peaks, (y, x) in pixels of the small pictures."""
    surface = fft.irfft2(np.conj(before.spectrum) * after.spectrum, s=before.image.shape)
    rows, columns = surface.shape
    y, x = divmod(int(np.argmax(surface)), columns)
    down = _vertex(*(float(surface[(y + step) % rows, x]) for step in (-1, 0, 1)))
    across = _vertex(*(float(surface[y, (x + step) % columns]) for step in (-1, 0, 1)))
    return np.array([_wrapped(y + down, rows), _wrapped(x + across, columns)])


def _vertex(left: float, middle: float, right: float) -> float:
    """Return where the parabola through three values, the middle one the greatest, has its vertex."""
    bend = left - 2 * middle + right
    return (left - right) / (2 * bend) if bend < 0 else 0.0


def _wrapped(place: float, size: int) -> float:
    return place - size if place > size / 2 else place


def _reduced(inner: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average over squares of `factor` pixels; in halves first, which is the fastest."""
    if factor > 2 and factor % 2 == 0:
        return _reduced(_reduced(inner, 2), factor // 2)
    size = (max(1, inner.shape[1] // factor), max(1, inner.shape[0] // factor))
    return np.asarray(cv2.resize(inner, size, interpolation=cv2.INTER_AREA))


@cache
def _window(rows: int, columns: int) -> NDArray[np.float32]:
    return np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1]).astype(np.float32)
