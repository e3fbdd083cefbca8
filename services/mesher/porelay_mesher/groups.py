"""Named sets of tetrahedra and triangles: what becomes physical groups, properties and selections.

Domains are the regions of the mesh, boundaries the pairs of regions (or of region and box face) that share triangles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.meshes import FACES, TetMesh
from porelay_schemas.meshes import BoxFace
from porelay_schemas.plan import Phase

FACE_TAG = 10_000

Kind = Literal["phase", "interface", "face", "face_phase"]


@dataclass(frozen=True, eq=False)
class Group:
    """A named set: `members` are domains (3D) or boundaries (2D), both counted from 0."""

    name: str
    kind: Kind
    phases: tuple[int, ...]
    face: str | None
    tag: int | None
    members: NDArray[np.int64]

    @property
    def dimension(self) -> int:
        """3 for tetrahedra, 2 for triangles."""
        return 3 if self.kind == "phase" else 2


def phase_tag(phase: int) -> int:
    """Return the tag of a phase's tetrahedra: 1 for the first phase."""
    return phase + 1


def interface_tag(first: int, second: int) -> int:
    """Return the tag of an interface: 102 for the first and second phase."""
    return 100 * (first + 1) + second + 1


def face_tag(face: int, phase: int | None = None) -> int:
    """Return the tag of a box face, or of the part that a phase covers: 10000 and 10001 for z_min."""
    return FACE_TAG * (face + 1) + (0 if phase is None else phase + 1)


def opposite(face: BoxFace) -> BoxFace:
    """Return the box face across."""
    return FACES[FACES.index(face) ^ 1]


@dataclass(frozen=True, eq=False)
class Groups:
    """All groups of a mesh."""

    mesh: TetMesh
    phases: tuple[Phase, ...]
    collector: BoxFace

    @cached_property
    def _boundaries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        regions = len(self.mesh.region_phase)
        width = regions + len(FACES)
        keys = self.mesh.sides[:, 0].astype(np.int64) * width + np.mod(self.mesh.sides[:, 1], width)
        found, of_triangle = np.unique(keys, return_inverse=True)
        second = found % width
        return of_triangle, np.stack([found // width, np.where(second < regions, second, second - width)], axis=1)

    @property
    def boundary(self) -> NDArray[np.int64]:
        """Boundary of each triangle."""
        return self._boundaries[0]

    @property
    def sides(self) -> NDArray[np.int64]:
        """Regions on both sides of each boundary; -1 - k is box face k."""
        return self._boundaries[1]

    @cached_property
    def boundary_tags(self) -> NDArray[np.int64]:
        """Tag of each boundary: of its interface, or of its part of a box face."""
        first, behind = self.mesh.region_phase[self.sides[:, 0]], self.sides[:, 1]
        second = self.mesh.region_phase[np.maximum(behind, 0)]
        tags = (
            face_tag(-1 - side, k) if side < 0 else interface_tag(k, other)
            for k, other, side in zip(first.tolist(), second.tolist(), behind.tolist(), strict=True)
        )
        return np.fromiter(tags, np.int64, len(first))

    @property
    def tetrahedron_tags(self) -> NDArray[np.int32]:
        """Tag of each tetrahedron: of its phase."""
        tags = np.array([phase_tag(k) for k in range(len(self.phases))], np.int32)
        return np.asarray(tags[self.mesh.phases])

    @property
    def triangle_tags(self) -> NDArray[np.int64]:
        """Tag of each triangle."""
        return self.boundary_tags[self.boundary]

    @cached_property
    def tagged(self) -> tuple[Group, ...]:
        """The groups that share nothing and leave nothing out: phases, interfaces, phases on box faces."""
        return (*self._domains(), *self._interfaces(), *self._face_parts())

    @cached_property
    def all(self) -> tuple[Group, ...]:
        """Those, and whole box faces, the collector, the separator and the sides."""
        return (*self.tagged, *self._faces(), *self._roles())

    def _domains(self) -> Iterator[Group]:
        for k, phase in enumerate(self.phases):
            members = np.flatnonzero(self.mesh.region_phase == k)
            if len(members):
                yield Group(phase.name, "phase", (k,), None, phase_tag(k), members)

    def _interfaces(self) -> Iterator[Group]:
        for i, first in enumerate(self.phases):
            for j, second in enumerate(self.phases[i + 1 :], i + 1):
                members = np.flatnonzero(self.boundary_tags == interface_tag(i, j))
                if len(members):
                    yield Group(f"{first.name}_{second.name}", "interface", (i, j), None, interface_tag(i, j), members)

    def _face_parts(self) -> Iterator[Group]:
        for f, face in enumerate(FACES):
            for k, phase in enumerate(self.phases):
                members = np.flatnonzero(self.boundary_tags == face_tag(f, k))
                if len(members):
                    yield Group(f"{face}_{phase.name}", "face_phase", (k,), face, face_tag(f, k), members)

    def _faces(self) -> Iterator[Group]:
        for f, face in enumerate(FACES):
            yield Group(face, "face", (), face, face_tag(f), np.flatnonzero(self.sides[:, 1] == -1 - f))

    def _roles(self) -> Iterator[Group]:
        parts = list(self._face_parts())
        for role, face in (("collector", self.collector), ("separator", opposite(self.collector))):
            yield Group(role, "face", (), role, None, np.flatnonzero(self.sides[:, 1] == -1 - FACES.index(face)))
            for part in parts:
                if part.face == face:
                    name = f"{role}_{self.phases[part.phases[0]].name}"
                    yield Group(name, "face_phase", part.phases, role, None, part.members)
        ends = [-1 - FACES.index(face) for face in (self.collector, opposite(self.collector))]
        behind = self.sides[:, 1]
        yield Group("sides", "face", (), "sides", None, np.flatnonzero((behind < 0) & ~np.isin(behind, ends)))
