"""STL, binary: one file a phase."""

from collections.abc import Iterator

import numpy as np

from porelay_mesher import digits
from porelay_mesher.meshes import Export, Exported, Meshes, Surface
from porelay_schemas.base import Params

FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


class StlParams(Params):
    """`stl` takes no parameters."""


def stl(meshes: Meshes, params: StlParams) -> Export:
    """Binary STL of each phase's surface, in micrometres (the format names no unit)."""
    for surface in meshes.need_surfaces("stl"):
        yield Exported(f"surface_{surface.phase.name}.stl", _chunks(surface))


def _chunks(surface: Surface) -> Iterator[bytes]:
    yield f"Porelay {surface.phase.name}, micrometres".encode("ascii").ljust(80)
    yield np.uint32(len(surface.triangles)).tobytes()
    for part in digits.parts(surface.triangles):
        facets = np.zeros(len(part), FACET)
        corners = surface.vertices_um[part]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        facets["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
        facets["corners"] = corners
        yield facets.tobytes()
