"""NASTRAN bulk data, as COMSOL and most structural codes read it.

Every phase is a property PSOLID with a material MAT1 of its own number (COMSOL tells domains apart by material), every
group of triangles a PSHELL. Coordinates are GRID* cards of 16 characters: in 8 they would be wrong by a voxel.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_mesher import digits
from porelay_mesher.groups import Groups
from porelay_mesher.meshes import Export, Exported, Meshes
from porelay_schemas.base import Params

FIELD = 16


class NasParams(Params):
    """Parameters of `nas`."""

    extension: Literal["nas", "bdf"] = Field(default="nas", description="of the file; the content is the same")


def nas(meshes: Meshes, params: NasParams) -> Export:
    """NASTRAN bulk data: CTETRA and CTRIA3 with a property and material for each phase, interface and box face."""
    mesh = meshes.need_tets("nas")
    yield Exported(f"electrode.{params.extension}", _chunks(Groups(mesh, meshes.phases, meshes.collector)))


def _chunks(groups: Groups) -> Iterator[bytes]:
    mesh = groups.mesh
    yield b"$ Created by Porelay, coordinates in micrometres\nSOL 101\nCEND\nBEGIN BULK\n"
    yield from _properties(groups)
    yield from _grid(mesh.nodes_um)
    count = len(mesh.tetrahedra)
    yield from _cards("CTETRA", 1, groups.tetrahedron_tags, mesh.tetrahedra + 1)
    yield from _cards("CTRIA3", count + 1, groups.triangle_tags, mesh.triangles + 1)
    yield b"ENDDATA\n"


def _properties(groups: Groups) -> Iterator[bytes]:
    for group in groups.tagged:
        tag = group.tag
        kind = _card("PSOLID", tag, tag) if group.dimension == 3 else _card("PSHELL", tag, tag, "1.0")
        yield f"$ {tag} {group.name}\n{_card('MAT1', tag, '1.0', '', '0.3')}{kind}".encode("ascii")


def _card(name: str, *fields: object) -> str:
    return f"{name:<8}" + "".join(f"{field!s:>8}" for field in fields) + "\n"


def _grid(nodes_um: NDArray[np.float64]) -> Iterator[bytes]:
    decimals = FIELD - 2 - digits.width(int(nodes_um.max()))  # as many as fit beside the point and a blank
    card = f"GRID*   %16d%16s%16.{decimals}f%16.{decimals}f*\n*       %16.{decimals}f\n"
    for start in range(0, len(nodes_um), digits.ROWS):
        part = nodes_um[start : start + digits.ROWS].tolist()
        yield "".join(card % (start + n, "", x, y, z) for n, (x, y, z) in enumerate(part, 1)).encode("ascii")


def _cards(name: str, first: int, tags: NDArray[Any], nodes: NDArray[Any]) -> Iterator[bytes]:
    for start in range(0, len(nodes), digits.ROWS):
        rows = slice(start, start + digits.ROWS)
        part = nodes[rows]
        ids = np.arange(first + start, first + start + len(part))
        columns = [digits.column(values, 8) for values in (ids, tags[rows], *part.T)]
        yield digits.lines([digits.fixed(f"{name:<8}", len(part)), *columns])
