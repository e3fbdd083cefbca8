"""How far neighbouring slices are shifted against each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from porelay_schemas.frames import Source

MOST_PIXELS = 1024
FINE, COARSE = 1.0, 24.0
LEAST_CONTRAST = 1e-5
LEAST_CORRELATION = 0.1
STEPS = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """Shift (y, x) in pixels of a slice's content against the slice before, and the correlation found there."""

    dy: float
    dx: float
    correlation: float


def pairs(volume: Source, most_shift: float) -> Iterator[Pair]:
    """Yield the shift of each slice against the one before, holding two slices at a time.

    A pair whose shift is greater than `most_shift` pixels, or that hardly correlates anywhere, has shift 0.
    """
    before: Image | None = None
    for _, slices in volume.slabs():
        for image in slices:
            here, shrink = flattened(image)
            if before is not None:
                yield shift(before, here, shrink, most_shift)
            before = here


def flattened(image: NDArray[Any]) -> tuple[Image, int]:
    """Return a slice freed of noise and shading, of deviation 1 (0 without contrast), and by how much it was shrunk."""
    grey = image.astype(np.float32)
    shrink = max(1, -(-max(grey.shape) // MOST_PIXELS))
    if shrink > 1:
        rows, columns = (size // shrink * shrink for size in grey.shape)
        grey = cv2.resize(grey[:rows, :columns], (columns // shrink, rows // shrink), interpolation=cv2.INTER_AREA)
    fine = cv2.GaussianBlur(grey, (0, 0), FINE / shrink if shrink < 3 else 0.3)
    width = 2 * int(COARSE / shrink) + 1
    coarse = cv2.blur(cv2.blur(fine, (width, width)), (width, width))
    flat = fine - coarse
    sigma = float(flat.std(dtype=np.float64))
    visible = sigma > LEAST_CONTRAST * float(np.abs(grey).max())
    return (flat / np.float32(sigma) if visible else np.zeros_like(flat)), shrink


def shift(before: Image, here: Image, shrink: int, most_shift: float) -> Pair:
    """Return the shift of `here` against `before`: phase correlation, then enhanced correlation (ECC)."""
    still = Pair(0.0, 0.0, correlation(before, here, 0.0, 0.0))
    if not before.any() or not here.any():
        return still
    window = cv2.createHanningWindow((here.shape[1], here.shape[0]), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(before, here, window)
    guess = Pair(dy, dx, correlation(before, here, dy, dx))
    best = max(still, guess, key=lambda pair: pair.correlation)
    best = max(best, refined(before, here, best), key=lambda pair: pair.correlation)
    found = Pair(best.dy * shrink, best.dx * shrink, best.correlation)
    credible = best.correlation >= LEAST_CORRELATION and max(abs(found.dy), abs(found.dx)) <= most_shift
    return found if credible else still


def refined(before: Image, here: Image, guess: Pair) -> Pair:
    """Refine a shift to a fraction of a pixel (Evangelidis and Psarakis 2008, TPAMI 30, 1858)."""
    warp = np.array([[1, 0, guess.dx], [0, 1, guess.dy]], np.float32)
    try:
        _, warp = cv2.findTransformECC(before, here, warp, cv2.MOTION_TRANSLATION, STEPS, None, 1)
    except cv2.error:
        return guess
    dx, dy = float(warp[0, 2]), float(warp[1, 2])
    return Pair(dy, dx, correlation(before, here, dy, dx))


def correlation(before: Image, here: Image, dy: float, dx: float) -> float:
    """Return the correlation of `before` with `here` moved back by (dy, dx), over their common part."""
    rows, columns = before.shape
    if abs(dy) > rows - 8 or abs(dx) > columns - 8:
        return -1.0
    warp = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(here, warp, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    top, left = int(np.ceil(max(-dy, 0))), int(np.ceil(max(-dx, 0)))
    bottom, right = rows - int(np.ceil(max(dy, 0))), columns - int(np.ceil(max(dx, 0)))
    a = before[top:bottom, left:right].astype(np.float64)
    b = moved[top:bottom, left:right].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / norm) if norm > 0 else 0.0
