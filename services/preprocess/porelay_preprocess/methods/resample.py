"""Change the voxel size."""

from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field, field_validator

from porelay_preprocess import resampling
from porelay_schemas.base import Params, VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.filters import Place, reframing, whole
from porelay_schemas.frames import Box, Frame

SAME = 1e-6


class ResampleParams(Params):
    """The voxel size wanted."""

    voxel_um: VoxelUm | None = Field(
        default=None, description="voxel edges wanted along (z, y, x), in micrometres; one number for a cube"
    )
    cube: Literal["finest", "coarsest"] = Field(
        default="finest", description="without voxel_um: cubes with the finest, or the coarsest, edge of the source"
    )
    most_voxels: int = Field(default=8_000_000_000, ge=1, description="voxels that the result may have at most")

    @field_validator("voxel_um", mode="before")
    @classmethod
    def _cube(cls, value: Any) -> Any:
        return (value, value, value) if isinstance(value, (int, float)) else value


def wanted(source: Frame, params: ResampleParams) -> VoxelUm:
    """Return the voxel size of the result; an edge that stays the same stays so to the last digit."""
    edge = min(source.voxel_um) if params.cube == "finest" else max(source.voxel_um)
    asked = params.voxel_um or (edge, edge, edge)
    z, y, x = (old if abs(new - old) <= SAME * old else new for old, new in zip(source.voxel_um, asked, strict=True))
    return z, y, x


def scales(source: Frame, params: ResampleParams) -> tuple[float, float, float]:
    """Return source voxels per voxel of the result along (z, y, x)."""
    z, y, x = (new / old for new, old in zip(wanted(source, params), source.voxel_um, strict=True))
    return z, y, x


def frame(source: Frame, model: None, params: ResampleParams) -> Frame:
    """Return the frame of the result; raise BadInput where it has no or too many voxels."""
    edges = wanted(source, params)
    z, y, x = (round(size * old / new) for size, old, new in zip(source.shape, source.voxel_um, edges, strict=True))
    if min(z, y, x) < 1:
        raise BadInput(
            f"resample.voxel_um: voxels of {_text(edges)} um leave none along an axis of the volume, which is "
            f"{_text(_extent(source))} um large. Give smaller voxels."
        )
    if z * y * x > params.most_voxels:
        raise BadInput(
            f"resample: voxels of {_text(edges)} um make {z} x {y} x {x} = {z * y * x:.3g} voxels, wanted at most "
            f"most_voxels = {params.most_voxels:.3g}. Give a larger voxel_um, crop first, or raise most_voxels."
        )
    return Frame((z, y, x), edges, source.dtype)


def _extent(source: Frame) -> tuple[float, ...]:
    return tuple(size * edge for size, edge in zip(source.shape, source.voxel_um, strict=True))


def _text(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def needs(box: Box, source: Frame, model: None, params: ResampleParams) -> Box:
    """Return the source voxels that a box is made of."""
    z, y, x = (
        resampling.reach(part, size, scale)
        for part, size, scale in zip(box, source.shape, scales(source, params), strict=True)
    )
    return z, y, x


def of_grey(block: NDArray[Any], place: Place, model: None, params: ResampleParams) -> NDArray[Any]:
    """Resample a grey block."""
    return resampling.linear(block, place, scales(place.frame, params))


def of_labels(block: NDArray[Any], place: Place, model: None, params: ResampleParams) -> NDArray[Any]:
    """Resample a label block."""
    return resampling.nearest(block, place, scales(place.frame, params))


@reframing(frame=frame, needs=needs, apply=of_grey, labels=of_labels, work_bytes=16)
def resample(grey: NDArray[Any], voxel_um: VoxelUm, params: ResampleParams) -> NDArray[Any]:
    """Change the voxel size, to cubes by default: linear, anti-aliased where voxels grow.

    `grey` (z, y, x) of any dtype with voxel edges `voxel_um` (z, y, x); the result has the same dtype and the voxel
    size asked for. Labels take the nearest voxel. Raises BadInput where no voxel, or too many, would result.
    """
    return whole(resample, grey, params, voxel_um)
