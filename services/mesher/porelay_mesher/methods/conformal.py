"""One conformal tetrahedral mesh of all phases."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from porelay_mesher import window
from porelay_mesher.meshes import Meshes
from porelay_schemas.base import Axis3, Params

BYTES_A_VOXEL = 500
"""Peak of meshing, exporters and pictures, measured."""


class ConformalParams(Params):
    """Parameters of `conformal`."""

    crop_voxels: Axis3 | None = Field(
        default=None, description="mesh only a centred window of this many voxels (z, y, x); null: the whole volume"
    )
    coarsen: Literal[1, 2, 4] = Field(
        default=1, description="merge cubes of this many voxels an edge into one by majority before meshing"
    )
    min_island_voxels: int = Field(
        default=4, ge=1, le=10**6, description="islands below this many voxels go to the phase around them; 1 keeps all"
    )
    smoothing: Literal["level_set", "taubin", "none"] = Field(
        default="level_set",
        description="how the staircase is smoothed: 'level_set' (true areas and volumes), 'taubin' (filter), 'none'",
    )
    quality: float = Field(
        default=0.4, ge=0.1, le=0.7, description="lowest mean ratio of a tetrahedron (1 is regular; cubic voxels)"
    )
    passes: int = Field(default=10, ge=1, le=100, description="passes of the smoothing over all interface nodes")
    max_tetrahedra: int = Field(
        default=12_600_000, ge=6, le=300_000_000, description="refuse to make more tetrahedra than this (six a voxel)"
    )
    collector: Literal["z_min", "z_max", "y_min", "y_max", "x_min", "x_max"] = Field(
        default="z_min", description="box face at the current collector; the opposite one is the separator's"
    )


def conformal(meshes: Meshes, params: ConformalParams) -> Meshes:
    """Conformal multi-phase tetrahedra: every voxel split in six, interfaces smoothed under a quality guard.

    Adds the mesh, and replaces the labels by those that were meshed (cut, coarsened, cleaned). Raises BadInput for a
    window thinner than two voxels or a label that is no phase, TooLarge where limits would be passed.
    """
    from porelay_mesher.cleaning import clean
    from porelay_mesher.moving import Guard
    from porelay_mesher.tetrahedra import mesh

    origin, size = window.centre(meshes.labels.shape, params.crop_voxels)
    factor = params.coarsen
    z, y, x = (length // factor for length in size)
    window.check_shape((z, y, x))
    window.check_size(meshes.labels.shape, size, factor, params.max_tetrahedra)
    window.check_memory(size, factor, BYTES_A_VOXEL, meshes.max_memory_bytes)
    raw = window.read(meshes.labels, origin, size, coarsen=factor, phases=len(meshes.phases))
    labels, cleaning = clean(raw, len(meshes.phases), params.min_island_voxels)
    dz, dy, dx = meshes.voxel_um
    coarse = replace(
        meshes,
        labels=labels,
        voxel_um=(dz * factor, dy * factor, dx * factor),
        origin_voxels=origin,
        coarsen=factor,
        collector=params.collector,
        cleaning=cleaning,
    )
    rule = Guard(params.quality, params.passes, coarse.voxel_um)
    return replace(coarse, tets=mesh(labels, cleaning.before.voxels, params.smoothing, rule))
