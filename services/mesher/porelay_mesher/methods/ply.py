"""PLY, binary: one file a phase, in its colour."""

from collections.abc import Iterator

import numpy as np

from porelay_mesher import digits
from porelay_mesher.meshes import Export, Exported, Meshes, Surface
from porelay_schemas.base import Params

HEADER = """ply
format binary_little_endian 1.0
comment Porelay {name}, micrometres
element vertex {vertices}
property double x
property double y
property double z
element face {faces}
property list uchar int vertex_indices
property uchar red
property uchar green
property uchar blue
end_header
"""
FACE = np.dtype([("count", "u1"), ("vertices", "<i4", 3), ("colour", "u1", 3)])


class PlyParams(Params):
    """`ply` takes no parameters."""


def ply(meshes: Meshes, params: PlyParams) -> Export:
    """Binary PLY of each phase's surface, coloured, in micrometres."""
    for surface in meshes.need_surfaces("ply"):
        yield Exported(f"surface_{surface.phase.name}.ply", _chunks(surface))


def _chunks(surface: Surface) -> Iterator[bytes]:
    vertices, triangles = surface.vertices_um, surface.triangles
    yield HEADER.format(name=surface.phase.name, vertices=len(vertices), faces=len(triangles)).encode("ascii")
    yield vertices.astype("<f8").tobytes()
    for part in digits.parts(triangles):
        faces = np.zeros(len(part), FACE)
        faces["count"], faces["vertices"] = 3, part
        faces["colour"] = list(bytes.fromhex(surface.phase.colour[1:]))
        yield faces.tobytes()
