"""`mesh.json`: what the mesher says about its meshes, for whoever reads the mesh files.

Coordinates in all files are (x, y, z) in micrometres, the origin is the lowest corner of the meshed box. Shapes and
voxel sizes are (z, y, x) as everywhere. Files of the artifact: `electrode.<format>` for the tetrahedral mesh,
`surface_<phase>.<format>` (or `surfaces.glb`) for closed surfaces, `meshed.zarr` for the labels that were meshed.

An exporter is a plugin of the family `exporter`: a pure function `(meshes, params)` that yields the files' names and
bytes; a mesher, of the family `mesher`, is `(meshes, params) -> meshes`. `meshes` is `porelay_mesher.meshes.Meshes`.
"""

from typing import Literal

from pydantic import Field

from porelay_schemas.base import Axis3, Closed, VoxelUm
from porelay_schemas.section import Verdict

BoxFace = Literal["z_min", "z_max", "y_min", "y_max", "x_min", "x_max"]


class Selection(Closed):
    """A named set of tetrahedra or triangles.

    `phase`: a phase's domain. `interface`: the triangles between two phases. `face`: a side of the box, or one of
    'collector', 'separator' and 'sides'; `face_phase`: the part of it that one phase covers.
    """

    name: str = Field(description="label of the selection in .mphtxt; name of the physical group in .msh")
    kind: Literal["phase", "interface", "face", "face_phase"]
    dimension: Literal[2, 3]
    phases: tuple[str, ...] = ()
    face: str | None = None
    tag: int | None = Field(
        default=None, description="physical group in .msh, property in .nas, `group` in .vtu; None: only in .mphtxt"
    )
    entities: int = Field(description="domains or boundaries in .mphtxt that it unites")
    elements: int
    measure: float = Field(description="um3 of tetrahedra, um2 of triangles")


class PhaseMesh(Closed):
    """A phase in the tetrahedral mesh. Volumes of its voxels are those of the window, before and after cleaning."""

    name: str
    label: int
    tetrahedra: int
    volume_um3: float
    voxel_volume_um3: float
    cleaned_volume_um3: float
    components: int
    components_before: int
    percolating: tuple[float, float, float] = Field(description="share connected from face to face along (z, y, x)")
    percolating_before: tuple[float, float, float]
    area_um2: float = Field(description="of its interfaces with other phases")
    crofton_area_um2: float = Field(description="the same, estimated from the voxels")


class SurfaceMesh(Closed):
    """The closed surface of a phase."""

    name: str
    triangles: int
    vertices: int
    area_um2: float
    volume_um3: float
    watertight: bool


class MeshQuality(Closed):
    """Extremes of the tetrahedra's shape; slivers have a radius ratio below 0.1."""

    min_dihedral_deg: float
    max_dihedral_deg: float
    min_radius_ratio: float
    min_scaled_jacobian: float
    sliver_share: float
    inverted: int


class MeshDescription(Closed):
    """`mesh.json`."""

    schema_version: Literal[1] = 1
    unit: Literal["um"] = "um"
    axes: tuple[Literal["x"], Literal["y"], Literal["z"]] = ("x", "y", "z")
    shape: Axis3 = Field(description="voxels that were meshed, after cutting and coarsening")
    voxel_um: VoxelUm
    origin_um: tuple[float, float, float] = Field(
        description="(z, y, x) of the box's lowest corner in the volume given"
    )
    coarsen: int = 1
    collector: BoxFace
    separator: BoxFace
    nodes: int = 0
    tetrahedra: int = 0
    triangles: int = 0
    phases: tuple[PhaseMesh, ...] = ()
    absent: tuple[str, ...] = Field(default=(), description="phases of the plan that the volume does not have")
    selections: tuple[Selection, ...] = ()
    quality: MeshQuality | None = None
    island_voxels: int = 0
    flipped_voxels: int = 0
    surfaces: tuple[SurfaceMesh, ...] = ()
    gate: dict[str, Verdict] = Field(default={}, description="check -> verdict")
    files: tuple[str, ...] = ()
