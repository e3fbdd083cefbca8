"""Curtain removal in single slices by wavelet and Fourier transform."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pywt
from numpy.typing import NDArray
from scipy import fft

LEAST_SIDE = 8
FILL = 30


@dataclass(frozen=True)
class Settings:
    """Name of the wavelet, number of its levels, and length in pixels from which on a stripe is removed."""

    wavelet: str
    levels: int
    length: float


def cleaned(image: NDArray[Any], thresholds: Sequence[float], settings: Settings) -> NDArray[np.float32]:
    """Return a slice without stripes along its first axis; its mean is kept.

    With `thresholds` the structure is taken off before and put back after: each pixel's class mean is subtracted, and
    near class borders, where that is not a fair guess, the residual of the column's neighbourhood is used instead.
    Otherwise the transform takes every edge along the stripes for a stripe.
    """
    grey = image.astype(np.float32)
    if min(grey.shape) < LEAST_SIDE:
        return grey
    rest = residual(grey, thresholds) if thresholds else grey
    clean: NDArray[np.float32] = grey - (rest - destriped(rest, settings))
    clean += np.float32(grey.mean(dtype=np.float64) - clean.mean(dtype=np.float64))
    return clean


def residual(grey: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.float32]:
    """Return what is left of a slice without the mean of each grey class."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    member = np.zeros(grey.shape, np.uint8)
    for threshold in thresholds:
        member += smooth > np.float32(threshold)
    sizes = np.bincount(member.ravel(), minlength=len(thresholds) + 1)
    sums = np.bincount(member.ravel(), grey.ravel(), minlength=len(thresholds) + 1)
    means = (sums / np.maximum(sizes, 1)).astype(np.float32)
    cross = np.ones((3, 3), np.uint8)
    inside = (cv2.dilate(member, cross) == cv2.erode(member, cross)).astype(np.float32)
    rest = (grey - means[member]) * inside
    along = (1, 2 * FILL + 1)
    filled = cv2.blur(rest, along) / np.maximum(cv2.blur(inside, along), np.float32(0.05))
    return np.asarray(np.where(inside > 0, rest, filled))


def destriped(grey: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Return an image without stripes along its first axis (Münch et al. 2009, Opt. Express 17, 8567).

    The detail bands that hold such stripes are damped at low frequencies f along them by 1 - exp(-(f length)^2 / 2).
    The transforms mirror the image at its borders, so the result is real and has no seams.
    """
    depth = min(settings.levels, int(np.log2(min(grey.shape))) - 2)
    smooth, bands = grey, []
    for _ in range(depth):
        smooth, (across, stripes, diagonal) = pywt.dwt2(smooth, settings.wavelet, mode="symmetric")
        bands.append((across, _damped(stripes, grey.shape[0] / settings.length), diagonal))
    for across, stripes, diagonal in reversed(bands):
        rows, columns = stripes.shape
        smooth = pywt.idwt2((smooth[:rows, :columns], (across, stripes, diagonal)), settings.wavelet, mode="symmetric")
    return np.asarray(smooth[: grey.shape[0], : grey.shape[1]], np.float32)


def _damped(band: NDArray[np.float32], cutoff: float) -> NDArray[np.float32]:
    cycles = np.arange(band.shape[0]) / 2
    keep = 1 - np.exp(-np.square(cycles) / (2 * cutoff**2))
    spectrum = fft.dct(band, axis=0, norm="ortho")
    result: NDArray[np.float32] = fft.idct(spectrum * keep[:, None].astype(np.float32), axis=0, norm="ortho")
    return result


def curtain_score(image: NDArray[Any]) -> float:
    """Return how far stripes along the first axis stand out, in decades of power; about 0.1 to 0.2 without stripes.

    Compares the power that does not vary along the axis with that of 4 to 12 cycles per slice, the median over
    frequencies across.
    """
    rows, columns = image.shape
    if rows < 32 or columns < 32:
        return 0.0
    grey = image.astype(np.float64)
    grey -= grey.mean()
    power = np.abs(np.fft.fft(np.fft.rfft(grey * np.hanning(rows)[:, None], axis=1), axis=0)) ** 2
    across = slice(columns // 64 + 1, columns // 4 + 1)
    still, moving = power[0:2, across].mean(axis=0), power[4:13, across].mean(axis=0)
    return float(np.log10(np.median(still / np.maximum(moving, 1e-30)) + 1e-30))
