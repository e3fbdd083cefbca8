"""Cut a box out of the volume."""

from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Axis3, Params
from porelay_schemas.errors import BadInput
from porelay_schemas.filters import Place, reframing, whole
from porelay_schemas.frames import Box, Frame

Range = tuple[int, int]


class CropParams(Params):
    """The box to keep; an axis left out is kept whole."""

    z: Range | None = Field(default=None, description="[first, end) slices to keep, in voxels")
    y: Range | None = Field(default=None, description="[first, end) rows to keep, in voxels")
    x: Range | None = Field(default=None, description="[first, end) columns to keep, in voxels")


def box_of(shape: Axis3, params: CropParams) -> Box:
    """Return the box to keep; raise BadInput where it leaves the volume or is empty."""
    z, y, x = (
        _part(name, size, kept) for name, size, kept in zip("zyx", shape, (params.z, params.y, params.x), strict=True)
    )
    return z, y, x


def _part(name: str, size: int, kept: Range | None) -> slice:
    first, end = kept or (0, size)
    if not 0 <= first < end <= size:
        raise BadInput(
            f"crop.{name}: got [{first}, {end}], wanted 0 <= first < end <= {size}: the volume has {size} voxels along "
            f"{name}. Correct the box, or leave {name} out to keep all of it."
        )
    return slice(first, end)


def frame(source: Frame, model: None, params: CropParams) -> Frame:
    """Return the frame of the box."""
    z, y, x = (part.stop - part.start for part in box_of(source.shape, params))
    return Frame((z, y, x), source.voxel_um, source.dtype)


def needs(box: Box, source: Frame, model: None, params: CropParams) -> Box:
    """Return the box moved to where it lies in the source."""
    z, y, x = (
        slice(part.start + kept.start, part.stop + kept.start)
        for part, kept in zip(box, box_of(source.shape, params), strict=True)
    )
    return z, y, x


def cut(block: NDArray[Any], place: Place, model: None, params: CropParams) -> NDArray[Any]:
    """Return the block, which is what was asked for."""
    return block


@reframing(frame=frame, needs=needs, apply=cut, labels=cut, work_bytes=0)
def crop(grey: NDArray[Any], params: CropParams) -> NDArray[Any]:
    """Keep a box of the volume.

    `grey` (z, y, x) of any dtype. Raises BadInput where the box leaves the volume or is empty.
    """
    return whole(crop, grey, params)
