"""Wavefront OBJ: one file a phase."""

from collections.abc import Iterator

from porelay_mesher import digits
from porelay_mesher.meshes import Export, Exported, Meshes, Surface
from porelay_schemas.base import Params


class ObjParams(Params):
    """`obj` takes no parameters."""


def obj(meshes: Meshes, params: ObjParams) -> Export:
    """Wavefront OBJ of each phase's surface, in micrometres."""
    for surface in meshes.need_surfaces("obj"):
        yield Exported(f"surface_{surface.phase.name}.obj", _chunks(surface))


def _chunks(surface: Surface) -> Iterator[bytes]:
    yield f"# Porelay, micrometres\no {surface.phase.name}\n".encode("ascii")
    for part in digits.parts(surface.vertices_um):
        yield ("v %.9g %.9g %.9g\n" * len(part) % tuple(part.ravel().tolist())).encode("ascii")
    for part in digits.parts(surface.triangles + 1):
        yield ("f %d %d %d\n" * len(part) % tuple(part.ravel().tolist())).encode("ascii")
