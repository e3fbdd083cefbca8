"""Property fields as COMSOL interpolation grids.

After the file-format chapter "Grid" of the COMSOL Multiphysics Reference Manual: a `%` line; the points along x, y and
z, a row each; another `%` line; then the values, x fastest, then y, then z. Points are voxel centres in micrometres in
the frame of the mesh, whose origin is the lowest corner of the box.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_comsol_bridge.recipe import VoxelField
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.errors import BadInput

MOST_VOXELS = 2_000_000
Slabs = Callable[[], Iterable[tuple[int, NDArray[Any]]]]


def stride_for(shape: Axis3, asked: int) -> int:
    """Return every how many voxels a field is sampled; 0 asks for the finest of at most two million voxels."""
    stride = asked or 1
    while not asked and np.prod([len(picked(n, stride)) for n in shape]) > MOST_VOXELS:
        stride += 1
    if min(len(picked(n, stride)) for n in shape) < 2:
        raise BadInput(
            f"field_stride {stride}: a grid needs 2 points along each axis, the mesh has {shape} voxels (z, y, x). "
            "Take a smaller one."
        )
    return stride


def picked(voxels: int, stride: int) -> NDArray[np.int64]:
    """Return which voxels along an axis are sampled: the middle one of each `stride`, of the rest none."""
    return np.arange(stride // 2, voxels, stride)


def points_um(shape: Axis3, voxel_um: VoxelUm, stride: int) -> tuple[NDArray[np.float64], ...]:
    """Return the points of the grid along (x, y, z), in micrometres."""
    return tuple(np.asarray((picked(shape[axis], stride) + 0.5) * voxel_um[axis], np.float64) for axis in (2, 1, 0))


def write_grids(
    folder: Path, fields: Sequence[VoxelField], slabs: Slabs, *, shape: Axis3, voxel_um: VoxelUm, stride: int
) -> None:
    """Write a file of each field; `slabs()` yields (first slice, labels (z, y, x)) from the lowest slice upwards."""
    points = points_um(shape, voxel_um, stride)
    for field in fields:
        with (folder / field.file).open("wb") as file:
            file.writelines(_head(field, points))
            file.writelines(_values(field, slabs(), stride))


def _head(field: VoxelField, points: tuple[NDArray[np.float64], ...]) -> Iterator[bytes]:
    yield f"% Grid, {field.about}, points in um\n".encode()
    for along in points:
        yield (" ".join(f"{float(point):.9g}" for point in along) + "\n").encode()
    yield f"% Data ({field.name}{', ' + field.unit if field.unit else ''})\n".encode()


def _values(field: VoxelField, slabs: Iterable[tuple[int, NDArray[Any]]], stride: int) -> Iterator[bytes]:
    words = np.array([f"{value:.9g}".encode() for value in field.by_phase], dtype=object)
    for first, labels in slabs:
        inside = (np.arange(len(labels)) + first) % stride == stride // 2
        sampled = labels[inside][:, stride // 2 :: stride, stride // 2 :: stride]
        for plane in sampled:
            yield from (b" ".join(row) + b"\n" for row in words[plane])
