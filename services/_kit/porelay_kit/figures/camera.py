"""A parallel view of a box from above one corner, and the light it stands in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.floating[Any]]
"""Shape (n, 3): points or directions (x, y, z), z upwards."""

_AZIMUTH, _ELEVATION = np.deg2rad(-56.0), np.deg2rad(27.0)

TOWARDS = np.array(
    [np.cos(_ELEVATION) * np.cos(_AZIMUTH), np.cos(_ELEVATION) * np.sin(_AZIMUTH), np.sin(_ELEVATION)], np.float32
)
"""Direction towards the viewer, who sees the faces of least y, greatest x and greatest z."""
RIGHT = np.array([-np.sin(_AZIMUTH), np.cos(_AZIMUTH), 0], np.float32)
UP = np.cross(TOWARDS, RIGHT).astype(np.float32)
_LAMP = 0.9 * TOWARDS + 0.6 * UP - 0.1 * RIGHT
LAMP = (_LAMP / np.linalg.norm(_LAMP)).astype(np.float32)
_HALF = LAMP + TOWARDS
HALF = (_HALF / np.linalg.norm(_HALF)).astype(np.float32)


@dataclass(frozen=True)
class View:
    """The box [low, high] (x, y, z) in micrometres, and the square of paper that it is seen on."""

    low: Vectors
    high: Vectors
    pixels: int

    @property
    def corners(self) -> Vectors:
        """The eight corners, shape (8, 3): bit 0 of the index chooses x, bit 1 y, bit 2 z."""
        bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
        return np.where(bits == 1, self.high, self.low).astype(np.float32)

    @property
    def tight(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the box, in micrometres on paper."""
        seen = self.on_paper(self.corners)
        (left, bottom), (right, top) = seen.min(axis=0).tolist(), seen.max(axis=0).tolist()
        return left, right, bottom, top

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the square, in micrometres on paper."""
        left, right, bottom, top = self.tight
        half = max(right - left, top - bottom) / 2 * 1.01
        across, up = (left + right) / 2, (bottom + top) / 2
        return across - half, across + half, up - half, up + half

    def on_paper(self, points: Vectors) -> Vectors:
        """Return (right, up) of points, in micrometres, shape (n, 2)."""
        return np.stack([points @ RIGHT, points @ UP], axis=1)

    def to_pixels(self, points: Vectors) -> Vectors:
        """Return (column, row, nearness) of points, shape (n, 3); row 0 is on top."""
        left, right, _, top = self.bounds
        scale = self.pixels / (right - left)
        return np.stack([(points @ RIGHT - left) * scale, (top - points @ UP) * scale, points @ TOWARDS], axis=1)

    def eyes(self) -> Vectors:
        """Return where the lines of sight of all pixels cross the paper, shape (pixels², 3), row by row."""
        left, right, bottom, top = self.bounds
        centres = (np.arange(self.pixels, dtype=np.float32) + 0.5) / self.pixels
        across, down = np.meshgrid(left + centres * (right - left), top - centres * (top - bottom))
        return (across.reshape(-1, 1) * RIGHT + down.reshape(-1, 1) * UP).astype(np.float32)


def shade(colours: NDArray[Any], normals: Vectors, *, openness: Any = 1.0, mist: Any = 0.0) -> Vectors:
    """Return lit colours (n, 3) of 0 to 255.

    `normals` are unit vectors; a surface seen from behind is lit like one seen from the front. `openness` of 0 to 1
    darkens crevices, `mist` of 0 to 1 fades the distance to white.
    """
    facing = np.where((normals @ TOWARDS)[:, None] < 0, -normals, normals)
    light = (0.5 + 0.54 * np.clip(facing @ LAMP, 0, 1)) * openness
    gleam = 255 * 0.13 * np.clip(facing @ HALF, 0, 1) ** 28 * openness
    lit = np.minimum(_lifted(colours) * light[:, None], 255) + gleam[:, None]
    pale = np.broadcast_to(np.asarray(mist, np.float32), light.shape)[:, None]
    return np.asarray(np.clip(lit * (1 - pale) + 255 * pale, 0, 255), np.float32)


def _lifted(colours: NDArray[Any]) -> Vectors:
    """Return dark colours paler, or their shading could not be seen."""
    brightness = colours @ np.array([0.2126, 0.7152, 0.0722])
    share = 0.3 * np.clip(1 - brightness / 110, 0, 1)[:, None]
    return np.asarray(colours * (1 - share) + 235 * share)


def haze(near: Vectors) -> Vectors:
    """Return the mist of points from their nearness: 0 for the nearest to the viewer, 0.16 for the farthest."""
    span = float(np.ptp(near)) if near.size else 0.0
    return np.asarray(0.16 * (near.max() - near) / span if span > 0 else np.zeros_like(near), np.float32)
