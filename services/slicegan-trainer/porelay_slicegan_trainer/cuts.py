"""The training data of a request: one volume that is cut along its axes, or a stack of images for each axis."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.volumes import Volume
from porelay_schemas.base import VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.planes import PlaneAxis, check_mode
from porelay_slicegan_trainer.data import AXES, PLANE, Axis
from porelay_slicegan_trainer.documents import generated_voxel_um
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

SAME_PIXEL = 0.01
"""Edges that differ by less are the same: files round theirs."""

Data = NDArray[Any] | Mapping[Axis, NDArray[Any]]


def voxel_of(volume: Volume, planes: Mapping[PlaneAxis, Volume], params: SliceganParams) -> VoxelUm:
    """Return the voxel to be generated; raise BadInput where the training images do not fit the mode or each other."""
    if not planes:
        return generated_voxel_um(volume.voxel_um, params)
    check_mode(params.mode)
    return common_voxel_um({"z": volume.voxel_um, **{axis: plane.voxel_um for axis, plane in planes.items()}})


def common_voxel_um(own: Mapping[Axis, VoxelUm]) -> VoxelUm:
    """Return the edges along (z, y, x) that images across each axis share; each (across it, rows, columns) in `own`.

    How far the images of a stack lie apart does not matter. Raises BadInput where two of them differ along an axis.
    """
    pixels = {axis: dict(zip(PLANE[axis], edges[1:], strict=True)) for axis, edges in own.items()}
    found = {}
    for along in AXES:
        edges = {axis: pixel[along] for axis, pixel in pixels.items() if along in pixel}
        first = next(iter(edges.values()))
        if not np.allclose(list(edges.values()), first, rtol=SAME_PIXEL):
            told = " and ".join(f"{edge:g} um in the images across {axis}" for axis, edge in edges.items())
            raise BadInput(
                f"slicegan-trainer: a pixel along {along} is {told}, wanted one size. Resample all to cubes in "
                f"preprocess (resample: {{voxel_um: {first:g}}}), or correct the size in the file."
            )
        found[along] = first
    return found["z"], found["y"], found["x"]


def loaded(volume: Volume, planes: Mapping[PlaneAxis, Volume]) -> Data:
    """Return the volume, or with planes a stack of images by the axis they lie across."""
    if not planes:
        return volume[:]
    return {"z": volume[:], **{axis: plane[:] for axis, plane in planes.items()}}
