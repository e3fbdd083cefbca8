"""Closed surfaces of the phases."""

from dataclasses import replace

from pydantic import Field

from porelay_mesher import window
from porelay_mesher.meshes import Meshes
from porelay_schemas.base import Params

BYTES_A_VOXEL = 300
"""Peak with pictures, measured on a cathode with an interface at every fourth voxel."""


class SurfaceParams(Params):
    """Parameters of `surface`."""

    smooth: int = Field(
        default=5, ge=0, le=200, description="passes of Taubin's filter over all surfaces together; 0 for none"
    )
    keep_faces: float = Field(
        default=1.0, gt=0, le=1, description="share of the triangles that quadric decimation keeps; 1 for all"
    )
    min_island_voxels: int = Field(
        default=4, ge=1, le=10**6, description="islands below this many voxels go to the phase around them; 1 keeps all"
    )


def surface(meshes: Meshes, params: SurfaceParams) -> Meshes:
    """A watertight surface of each phase: from the conformal mesh if there is one, else from the voxels.

    Adds one `Surface` a phase that the volume has. Without decimation neighbours fit exactly. Raises BadInput for a
    volume thinner than two voxels or a label that is no phase, TooLarge where it would not fit in memory.
    """
    from porelay_mesher import surfaces

    cut = meshes if meshes.tets else _clean(meshes, params)
    skins = surfaces.cut_out(cut)
    vertices = surfaces.smooth(skins, params.smooth, cut.voxel_um)
    return replace(cut, surfaces=tuple(surfaces.of_all(skins, vertices, cut, params.keep_faces)))


def _clean(meshes: Meshes, params: SurfaceParams) -> Meshes:
    from porelay_mesher.cleaning import clean

    origin, size = window.centre(meshes.labels.shape, None)
    window.check_shape(size)
    window.check_memory(size, 1, BYTES_A_VOXEL, meshes.max_memory_bytes)
    raw = window.read(meshes.labels, origin, size, phases=len(meshes.phases))
    labels, cleaning = clean(raw, len(meshes.phases), params.min_island_voxels)
    return replace(meshes, labels=labels, cleaning=cleaning)
