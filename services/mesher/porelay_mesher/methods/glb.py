"""glTF 2.0, binary: all phases in one scene, for viewers and browsers."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from porelay_mesher.meshes import Export, Exported, Meshes, Surface
from porelay_schemas.base import Params

FLOAT, UINT32 = 5126, 5125
VERTICES, INDICES = 34962, 34963
LINEAR = 2.2
"""glTF wants colours linear in light; plans have them as on the screen."""


class GlbParams(Params):
    """`glb` takes no parameters."""


def glb(meshes: Meshes, params: GlbParams) -> Export:
    """Binary glTF of all surfaces, one node a phase in its colour; a unit is a micrometre."""
    yield Exported("surfaces.glb", _chunks(meshes.need_surfaces("glb")))


def _chunks(surfaces: tuple[Surface, ...]) -> Iterator[bytes]:
    scene: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Porelay", "extras": {"unit": "micrometre"}},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(surfaces)))}],
        "nodes": [{"mesh": k, "name": surface.phase.name} for k, surface in enumerate(surfaces)],
        "meshes": [_mesh(k, surface) for k, surface in enumerate(surfaces)],
        "materials": [_material(surface) for surface in surfaces],
        "accessors": [],
        "bufferViews": [],
    }
    size = 0
    for surface in surfaces:
        size = _describe(scene, surface, size)
    scene["buffers"] = [{"byteLength": size}]
    text = json.dumps(scene, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    yield struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + size)
    yield struct.pack("<I4s", len(text), b"JSON") + text
    yield struct.pack("<I4s", size, b"BIN\0")
    for surface in surfaces:
        yield surface.vertices_um.astype("<f4").tobytes()
        yield surface.triangles.astype("<u4").tobytes()


def _mesh(number: int, surface: Surface) -> dict[str, Any]:
    primitive = {"attributes": {"POSITION": 2 * number}, "indices": 2 * number + 1, "material": number}
    return {"name": surface.phase.name, "primitives": [primitive]}


def _material(surface: Surface) -> dict[str, Any]:
    colour = [round((part / 255) ** LINEAR, 4) for part in bytes.fromhex(surface.phase.colour[1:])]
    look = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": surface.phase.name, "pbrMetallicRoughness": look}


def _describe(scene: dict[str, Any], surface: Surface, start: int) -> int:
    """Add the accessors and views of a surface whose bytes begin at `start`; return where they end."""
    points = surface.vertices_um.astype(np.float32)
    index_start = start + points.nbytes
    end = index_start + surface.triangles.size * 4
    view = len(scene["bufferViews"])
    scene["bufferViews"] += [
        {"buffer": 0, "byteOffset": start, "byteLength": points.nbytes, "target": VERTICES},
        {"buffer": 0, "byteOffset": index_start, "byteLength": end - index_start, "target": INDICES},
    ]
    low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    position = {"bufferView": view, "componentType": FLOAT, "count": len(points), "type": "VEC3"}
    indices = {"bufferView": view + 1, "componentType": UINT32, "count": surface.triangles.size, "type": "SCALAR"}
    scene["accessors"] += [position | {"min": low, "max": high}, indices]
    return end
