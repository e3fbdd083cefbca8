"""Values in a row: what is usual around each of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def running_median(values: NDArray[Any], width: int = 11) -> NDArray[np.float64]:
    """Return the median of `width` neighbours of each value along the first axis, mirrored at the ends."""
    windows = np.lib.stride_tricks.sliding_window_view(*_padded(values, width), axis=0)
    return np.asarray(np.median(windows, axis=-1))


def running_mean(values: NDArray[Any], width: int) -> NDArray[np.float64]:
    """Return the mean of `width` neighbours of each value along the first axis, mirrored at the ends."""
    padded, width = _padded(values, width)
    total = np.cumsum(padded, axis=0)
    total = np.concatenate([np.zeros_like(total[:1]), total])
    return np.asarray((total[width:] - total[:-width]) / width)


def _padded(values: NDArray[Any], width: int) -> tuple[NDArray[np.float64], int]:
    width = min(width // 2, len(values) - 1) * 2 + 1
    padding = [(width // 2, width // 2)] + [(0, 0)] * (values.ndim - 1)
    return np.pad(np.asarray(values, np.float64), padding, mode="reflect"), width


def white_noise(values: NDArray[Any]) -> float:
    """Return the standard deviation of what jumps from value to value, free of what changes slowly.

    From the second differences of at least three values, whose variance is six times that of white noise.
    """
    return float(np.sqrt(np.mean(np.diff(values, 2) ** 2) / 6))


def rms(values: NDArray[Any]) -> float:
    """Return the root of the mean square, 0 for no values."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
