"""Move single slices by fractions of a pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_preprocess.greys import typed
from porelay_schemas.filters import Place

Shift = tuple[float, float]


def moved(block: NDArray[Any], place: Place, shifts: tuple[Shift, ...], cubic: bool) -> NDArray[Any]:
    """Return slices (z, y, x) whose voxel (y, x) shows the source at (y + dy, x + dx), `shifts` being those of `place`.

    `cubic`: four taps of Catmull and Rom; otherwise the nearest voxel. Beyond the border lies what lies at it.
    """
    _, y, x = place.result
    out = np.empty((len(shifts), y.stop - y.start, x.stop - x.start), block.dtype)
    for z, (dy, dx) in enumerate(shifts):
        if cubic:
            out[z] = typed(_cubic(block[z], place, dy, dx), block.dtype)
        else:
            out[z] = _gathered(block[z], place, (int(np.floor(dy + 0.5)), int(np.floor(dx + 0.5))), 0)
    return out


def _cubic(image: NDArray[Any], place: Place, dy: float, dx: float) -> NDArray[np.float32]:
    base = int(np.floor(dy)), int(np.floor(dx))
    wide = _gathered(image, place, base, 1).astype(np.float32)
    rows, columns = wide.shape[0] - 3, wide.shape[1] - 3
    a, b, c, d = _weights(dy - base[0])
    down = a * wide[:rows] + b * wide[1 : rows + 1] + c * wide[2 : rows + 2] + d * wide[3:]
    a, b, c, d = _weights(dx - base[1])
    across: NDArray[np.float32] = (
        a * down[:, :columns] + b * down[:, 1 : columns + 1] + c * down[:, 2 : columns + 2] + d * down[:, 3:]
    )
    return across


def _gathered(image: NDArray[Any], place: Place, by: tuple[int, int], margin: int) -> NDArray[Any]:
    """Return the source moved by whole pixels, with `margin` more in front and twice that behind."""
    index = []
    for axis, whole in zip((1, 2), by, strict=True):
        part, source, size = place.result[axis], place.source[axis], place.frame.shape[axis]
        wanted = np.arange(part.start + whole - margin, part.stop + whole + 2 * margin)
        index.append(np.clip(wanted, 0, size - 1) - source.start)
    return image[np.ix_(*index)]


def _weights(t: float) -> list[np.float32]:
    return [
        np.float32(weight)
        for weight in (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (-(t**2) + t**3) / 2,
        )
    ]
