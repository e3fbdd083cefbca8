"""What a voxel is described by: its grey level, blurred at some scales, and the steepness of the grey levels there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3

TRUNCATE = 4.0


@dataclass(frozen=True)
class Describer:
    """Turns grey levels into features: blurred with each sigma of `scales` (0: as they are), then the gradient.

    The gradient is the length of the central differences at the greatest scale, per voxel.
    """

    scales: tuple[float, ...]
    gradient: bool = False

    @property
    def smoothest(self) -> int:
        """Number of the feature with the widest blur."""
        return int(np.argmax(self.scales))

    @property
    def halo(self) -> Axis3:
        """How far the features look."""
        reach = int(TRUNCATE * max(self.scales) + 0.5) + int(self.gradient)
        return reach, reach, reach

    def __call__(self, grey: NDArray[Any]) -> NDArray[np.float32]:
        """Return features (f, z, y, x) of grey levels (z, y, x), mirrored at the borders."""
        from scipy.ndimage import gaussian_filter

        out = np.empty((len(self.scales) + int(self.gradient), *grey.shape), np.float32)
        for target, scale in zip(out, self.scales, strict=False):
            gaussian_filter(grey, scale, output=target, mode="reflect", truncate=TRUNCATE)
        if self.gradient:
            out[-1] = steepness(out[self.smoothest])
        return out


def steepness(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of the gradient by central differences, in grey levels per voxel."""
    square = np.zeros_like(grey)
    for axis, size in enumerate(grey.shape):
        wide = np.pad(grey, [(int(at == axis), int(at == axis)) for at in range(3)], mode="edge")
        behind, ahead = (np.take(wide, np.arange(first, first + size), axis=axis) for first in (0, 2))
        square += np.square((ahead - behind) / 2)
    return np.sqrt(square)
