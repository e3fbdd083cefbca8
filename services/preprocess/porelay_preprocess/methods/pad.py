"""Add voxels around the volume."""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Params
from porelay_schemas.filters import Place, reframing, whole
from porelay_schemas.frames import Box, Frame

Width = Annotated[int, Field(ge=0, le=4096)]


class PadParams(Params):
    """How much to add, and what."""

    before: tuple[Width, Width, Width] = Field(default=(0, 0, 0), description="voxels added in front along (z, y, x)")
    after: tuple[Width, Width, Width] = Field(default=(0, 0, 0), description="voxels added behind along (z, y, x)")
    mode: Literal["mirror", "edge", "constant"] = Field(
        default="mirror", description="what is added: the mirrored volume, its outermost voxels, or one value"
    )
    grey: float = Field(default=0, description="grey level that 'constant' adds")
    label: int = Field(default=0, ge=0, le=255, description="label that 'constant' adds to a label volume")


def frame(source: Frame, model: None, params: PadParams) -> Frame:
    """Return the larger frame."""
    z, y, x = (a + size + b for a, size, b in zip(params.before, source.shape, params.after, strict=True))
    return Frame((z, y, x), source.voxel_um, source.dtype)


def sources(part: slice, size: int, before: int, mode: str) -> NDArray[np.int64]:
    """Return which voxel of an axis each voxel of the padded axis shows."""
    index: NDArray[np.int64] = np.arange(part.start, part.stop) - before
    if mode == "mirror":
        index = index % (2 * size)
        return np.asarray(np.minimum(index, 2 * size - 1 - index))
    return np.asarray(np.clip(index, 0, size - 1))


def needs(box: Box, source: Frame, model: None, params: PadParams) -> Box:
    """Return the box of all voxels shown."""
    shown = (
        sources(part, size, before, params.mode)
        for part, size, before in zip(box, source.shape, params.before, strict=True)
    )
    z, y, x = (slice(int(index.min()), int(index.max()) + 1) for index in shown)
    return z, y, x


def padded(block: NDArray[Any], place: Place, params: PadParams, value: float) -> NDArray[Any]:
    """Return the voxels shown, and `value` outside in mode 'constant'."""
    out = block
    for axis, (part, size) in enumerate(zip(place.result, place.frame.shape, strict=True)):
        index = sources(part, size, params.before[axis], params.mode) - place.source[axis].start
        out = np.take(out, index, axis=axis)
    if params.mode == "constant":
        out[outside(place, params)] = np.asarray(value).astype(block.dtype)
    return out


def outside(place: Place, params: PadParams) -> NDArray[np.bool_]:
    """Return which voxels of the result lie outside the source."""
    lines = []
    for part, size, before in zip(place.result, place.frame.shape, params.before, strict=True):
        index = np.arange(part.start, part.stop) - before
        lines.append((index < 0) | (index >= size))
    z, y, x = lines
    return z[:, None, None] | y[:, None] | x


def of_grey(block: NDArray[Any], place: Place, model: None, params: PadParams) -> NDArray[Any]:
    """Pad a grey block."""
    return padded(block, place, params, params.grey)


def of_labels(block: NDArray[Any], place: Place, model: None, params: PadParams) -> NDArray[Any]:
    """Pad a label block."""
    return padded(block, place, params, params.label)


@reframing(frame=frame, needs=needs, apply=of_grey, labels=of_labels, work_bytes=2)
def pad(grey: NDArray[Any], params: PadParams) -> NDArray[Any]:
    """Add voxels around the volume: mirrored, repeated or constant.

    `grey` (z, y, x) of any dtype; 'mirror' repeats the border voxel (d c b a | a b c d).
    """
    return whole(pad, grey, params)
