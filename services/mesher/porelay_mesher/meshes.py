"""What meshers and exporters hand on to one another.

A mesher is `(meshes, params) -> meshes`: it returns what it got with its own mesh added. An exporter is
`(meshes, params) -> iterator of Exported`: file names and their bytes, in chunks. Both are pure; the stage writes.
Labels are (z, y, x); coordinates of meshes are (x, y, z) in micrometres, the origin is the lowest corner of the box.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.meshes import BoxFace
from porelay_schemas.plan import Phase

FACES: tuple[BoxFace, ...] = ("z_min", "z_max", "y_min", "y_max", "x_min", "x_max")
"""The six faces of the box. As a side of a triangle, face k is written -1 - k."""


class Labels(Protocol):
    """A label volume (z, y, x), in memory or in a store: what is read is sliced."""

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""

    def __getitem__(self, box: Any, /) -> NDArray[Any]:
        """Return the voxels of a box of slices."""


@dataclass(frozen=True, eq=False)
class TetMesh:
    """A conformal tetrahedral mesh of all phases: neighbours share nodes, every interface is one layer of triangles.

    `regions` are the face-connected components of the phases. `sides` are the regions on both sides of a triangle,
    the phase of lower index first; the second is -1 - k on box face k. Normals point from the first to the second.
    """

    nodes_um: NDArray[np.float64]  # (nodes, xyz)
    tetrahedra: NDArray[np.int32]  # (tetrahedra, 4), positively oriented
    regions: NDArray[np.int32]  # (tetrahedra,)
    region_phase: NDArray[np.uint8]  # (regions,)
    triangles: NDArray[np.int32]  # (triangles, 3)
    sides: NDArray[np.int32]  # (triangles, 2)

    @property
    def phases(self) -> NDArray[np.uint8]:
        """Phase of each tetrahedron."""
        return self.region_phase[self.regions]

    @property
    def size_um(self) -> tuple[float, float, float]:
        """Edges of the box along (x, y, z)."""
        x, y, z = self.nodes_um.max(axis=0)
        return float(x), float(y), float(z)

    @cached_property
    def areas_um2(self) -> NDArray[np.float64]:
        """Area of each triangle."""
        a, b, c = (self.nodes_um[self.triangles[:, k]] for k in range(3))
        return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2, np.float64)


@dataclass(frozen=True, eq=False)
class Surface:
    """The closed surface of one phase; normals point out of it."""

    phase: Phase
    vertices_um: NDArray[np.float64]  # (vertices, xyz)
    triangles: NDArray[np.int32]  # (triangles, 3)

    @property
    def corners_um(self) -> NDArray[np.float64]:
        """Corners (triangles, 3, xyz)."""
        return self.vertices_um[self.triangles]

    @property
    def area_um2(self) -> float:
        """Area of the surface."""
        a, b, c = self.corners_um.transpose(1, 0, 2)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    @property
    def volume_um3(self) -> float:
        """Volume within the surface."""
        a, b, c = self.corners_um.transpose(1, 0, 2)
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


@dataclass(frozen=True)
class Structure:
    """How the phases hang together, in voxels; tuples run over the phases of the plan."""

    voxels: tuple[int, ...]
    components: tuple[int, ...]
    percolating: tuple[tuple[float, float, float], ...]  # share of the phase connected from face to face, (z, y, x)
    edge_contacts: int
    corner_contacts: int


@dataclass(frozen=True)
class Cleaning:
    """What was changed in the labels before meshing."""

    before: Structure
    after: Structure
    island_voxels: int
    flipped_voxels: int


@dataclass(frozen=True, eq=False)
class Meshes:
    """The label volume and what has been made of it so far."""

    labels: Labels
    phases: tuple[Phase, ...]
    voxel_um: VoxelUm
    max_memory_bytes: int | None = None
    origin_voxels: Axis3 = (0, 0, 0)  # of the window, in voxels of the volume it was cut from
    coarsen: int = 1
    collector: BoxFace = "z_min"  # the box face at the current collector
    cleaning: Cleaning | None = None
    tets: TetMesh | None = None
    surfaces: tuple[Surface, ...] = field(default=())

    def need_tets(self, who: str) -> TetMesh:
        """Return the tetrahedral mesh; raise BadInput where no mesher made one."""
        if self.tets is None:
            raise BadInput(f"exporter {who!r}: there is no tetrahedral mesh to write. Use 'conformal' before it.")
        return self.tets

    def need_surfaces(self, who: str) -> tuple[Surface, ...]:
        """Return the surfaces; raise BadInput where no mesher made any."""
        if not self.surfaces:
            raise BadInput(f"exporter {who!r}: there is no surface to write. Use 'surface' before it.")
        return self.surfaces


@dataclass(frozen=True)
class Exported:
    """A file: its name, and its bytes in chunks, made while they are written."""

    name: str
    chunks: Iterable[bytes]


Export = Iterator[Exported]
