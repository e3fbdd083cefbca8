"""COMSOL's native text format: mesh object version 4 and named selections.

After the file-format chapters of the COMSOL Multiphysics Reference Manual 5.5 to 6.2. Domains are counted from 1,
boundaries from 0, each component of a phase is a domain of its own and each pair of components a boundary: COMSOL
splits what is not connected, and would number it itself. The selections unite them.
"""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from porelay_mesher import digits
from porelay_mesher.groups import Group, Groups
from porelay_mesher.meshes import Export, Exported, Meshes
from porelay_schemas.base import Params

TAG = "mesh1"


class MphtxtParams(Params):
    """`mphtxt` takes no parameters."""


def mphtxt(meshes: Meshes, params: MphtxtParams) -> Export:
    """COMSOL mesh with named selections of phases, interfaces, box faces, collector and separator."""
    mesh = meshes.need_tets("mphtxt")
    yield Exported("electrode.mphtxt", _chunks(Groups(mesh, meshes.phases, meshes.collector)))


def _chunks(groups: Groups) -> Iterator[bytes]:
    mesh, named = groups.mesh, groups.all
    tags = [TAG, *(f"{TAG}_sel{k}" for k in range(1, len(named) + 1))]
    yield _text("# Created by Porelay, coordinates in micrometres", "", "0 1")
    yield _text(f"{len(tags)} # number of tags", *map(_string, tags))
    yield _text(f"{len(tags)} # number of types", *[_string("obj")] * len(tags), "")
    yield _text("# --------- Object 0 ----------", "", "0 0 1", f"{_string('Mesh')} # class", "4 # version", "3 # sdim")
    yield _text(f"{len(mesh.nodes_um)} # number of mesh vertices", "0 # lowest mesh vertex index", "")
    yield _text("# Mesh vertex coordinates")
    yield from digits.floats(mesh.nodes_um)
    yield _text("", "2 # number of element types")
    yield from _elements("tri", mesh.triangles, groups.boundary)
    yield from _elements("tet", mesh.tetrahedra, mesh.regions + 1)
    for number, group in enumerate(named, 1):
        yield from _selection(number, group)


def _elements(kind: str, nodes: NDArray[Any], entities: NDArray[Any]) -> Iterator[bytes]:
    yield _text("", f"# Type {kind}", f"{_string(kind)} # type name", "")
    count, corners = nodes.shape
    yield _text(f"{corners} # number of vertices per element", f"{count} # number of elements", "# Elements")
    yield from digits.integers(nodes)
    yield _text("", f"{len(entities)} # number of geometric entity indices", "# Geometric entity indices")
    yield from digits.integers(entities[:, None])


def _selection(number: int, group: Group) -> Iterator[bytes]:
    first = 1 if group.dimension == 3 else 0
    yield _text("", f"# --------- Object {number} ----------", "", "0 0 1", f"{_string('Selection')} # class")
    yield _text("0 # Version", f"{_string(group.name)} # Label", f"{_string(TAG)} # Geometry/mesh tag")
    yield _text(f"{group.dimension} # Dimension", f"{len(group.members)} # Number of entities", "# Entities")
    yield from digits.integers(group.members[:, None] + first)


def _string(text: str) -> str:
    return f"{len(text)} {text}"


def _text(*rows: str) -> bytes:
    return ("\n".join(rows) + "\n").encode("ascii")
