"""gmsh's own format, version 4.1, after the file-format chapter of its reference manual; written without gmsh.

A discrete volume for each phase, a discrete surface for each interface and for each phase on each box face; physical
groups of the same numbers and names, and one for each whole box face.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_mesher import digits
from porelay_mesher.groups import FACE_TAG, Group, Groups
from porelay_mesher.meshes import Export, Exported, Meshes, TetMesh
from porelay_schemas.base import Params

TRIANGLE, TETRAHEDRON = 2, 4
"""Element types of the format."""


class MshParams(Params):
    """Parameters of `msh`."""

    encoding: Literal["binary", "ascii"] = Field(default="binary", description="of the file")


def msh(meshes: Meshes, params: MshParams) -> Export:
    """Mesh of gmsh 4.1 with physical groups of phases, interfaces and box faces."""
    groups = Groups(meshes.need_tets("msh"), meshes.phases, meshes.collector)
    write = _Binary() if params.encoding == "binary" else _Ascii()
    yield Exported("electrode.msh", _chunks(groups, write))


def _chunks(groups: Groups, write: "_Binary | _Ascii") -> Iterator[bytes]:
    yield b"$MeshFormat\n" + write.header + b"$EndMeshFormat\n"
    yield _names(groups)
    yield b"$Entities\n"
    yield from _entities(groups, write)
    yield b"\n$EndEntities\n$Nodes\n"
    yield from _nodes(groups, write)
    yield b"\n$EndNodes\n$Elements\n"
    yield from _elements(groups, write)
    yield b"\n$EndElements\n"


def _names(groups: Groups) -> bytes:
    named = [group for group in groups.all if group.tag is not None]
    rows = "".join(f'{group.dimension} {group.tag} "{group.name}"\n' for group in named)
    return f"$PhysicalNames\n{len(named)}\n{rows}$EndPhysicalNames\n".encode("ascii")


def _entities(groups: Groups, write: "_Binary | _Ascii") -> Iterator[bytes]:
    surfaces = [group for group in groups.tagged if group.dimension == 2]
    volumes = [group for group in groups.tagged if group.dimension == 3]
    yield write.sizes(0, 0, len(surfaces), len(volumes))
    box = (0.0, 0.0, 0.0, *groups.mesh.size_um)
    for group in surfaces:
        tag = _tag(group)
        physical = (tag, tag // FACE_TAG * FACE_TAG) if group.face else (tag,)
        yield write.ints(tag) + write.floats(*box) + write.sizes(len(physical)) + write.ints(*physical) + write.sizes(0)
        yield write.end
    for group in volumes:
        around = [_tag(surface) for surface in surfaces if group.phases[0] in surface.phases]
        yield write.ints(_tag(group)) + write.floats(*box) + write.sizes(1) + write.ints(_tag(group))
        yield write.sizes(len(around)) + write.ints(*around) + write.end


def _nodes(groups: Groups, write: "_Binary | _Ascii") -> Iterator[bytes]:
    nodes = groups.mesh.nodes_um
    home = _tag(groups.tagged[0])
    yield write.sizes(1, len(nodes), 1, len(nodes)) + write.end
    yield write.ints(3, home, 0) + write.sizes(len(nodes)) + write.end
    yield from write.table(np.arange(1, len(nodes) + 1)[:, None])
    yield from write.coordinates(nodes)


def _elements(groups: Groups, write: "_Binary | _Ascii") -> Iterator[bytes]:
    total = len(groups.mesh.triangles) + len(groups.mesh.tetrahedra)
    yield write.sizes(len(groups.tagged), total, 1, total) + write.end
    next_tag = 1
    tags = groups.triangle_tags
    for group in groups.tagged:
        nodes = _nodes_of(groups.mesh, group, tags)
        kind = TETRAHEDRON if group.dimension == 3 else TRIANGLE
        yield write.ints(group.dimension, _tag(group), kind) + write.sizes(len(nodes)) + write.end
        for part in digits.parts(nodes):
            numbers = np.arange(next_tag, next_tag + len(part))[:, None]
            next_tag += len(part)
            yield from write.table(np.concatenate([numbers, part.astype(np.int64) + 1], axis=1))


def _nodes_of(mesh: TetMesh, group: Group, triangle_tags: NDArray[np.int64]) -> NDArray[np.int32]:
    if group.dimension == 2:
        return np.asarray(mesh.triangles[triangle_tags == group.tag])
    return np.asarray(mesh.tetrahedra[mesh.phases == group.phases[0]])


def _tag(group: Group) -> int:
    assert group.tag is not None
    return group.tag


@dataclass(frozen=True)
class _Binary:
    header: bytes = b"4.1 1 8\n" + struct.pack("<i", 1) + b"\n"
    end: bytes = b""

    def ints(self, *values: int) -> bytes:
        return struct.pack(f"<{len(values)}i", *values)

    def sizes(self, *values: int) -> bytes:
        return struct.pack(f"<{len(values)}Q", *values)

    def floats(self, *values: float) -> bytes:
        return struct.pack(f"<{len(values)}d", *values)

    def table(self, values: NDArray[Any]) -> Iterator[bytes]:
        yield values.astype("<u8").tobytes()

    def coordinates(self, values: NDArray[np.float64]) -> Iterator[bytes]:
        yield values.astype("<f8").tobytes()


@dataclass(frozen=True)
class _Ascii:
    header: bytes = b"4.1 0 8\n"
    end: bytes = b"\n"

    def ints(self, *values: int) -> bytes:
        return "".join(f"{value} " for value in values).encode()

    sizes = ints

    def floats(self, *values: float) -> bytes:
        return "".join(f"{value:.15g} " for value in values).encode()

    def table(self, values: NDArray[Any]) -> Iterator[bytes]:
        yield from digits.integers(values)

    def coordinates(self, values: NDArray[np.float64]) -> Iterator[bytes]:
        yield from digits.floats(values)
