"""How noisy a stack is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Closed
from porelay_schemas.frames import Source

MOST_SLICES = 64


class Noise(Closed):
    """Standard deviation of the noise, in grey levels."""

    sigma: float = Field(ge=0)


def noise_of(volume: Source, params: object = None) -> Noise:
    """Estimate the noise from evenly spaced slices: the median of `slice_noise`."""
    depth = volume.shape[0]
    chosen = sorted({round(z) for z in np.linspace(0, depth - 1, min(depth, MOST_SLICES)).tolist()})
    found = [slice_noise(volume[z : z + 1][0]) for z in chosen]
    return Noise(sigma=float(np.median(found)))


def slice_noise(image: NDArray[Any]) -> float:
    """Return the noise of a slice (y, x) by its difference of two Laplacians (Immerkaer 1996, CVIU 64, 300).

    White noise is assumed; strong texture reads as noise. A slice narrower than three pixels has none.
    """
    rows, columns = image.shape
    if min(rows, columns) < 3:
        return 0.0
    grey = image.astype(np.float32)
    along = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    second = along[:-2] - 2 * along[1:-1] + along[2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(second).mean(dtype=np.float64))
