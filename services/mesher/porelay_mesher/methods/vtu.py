"""VTK's unstructured grid in XML, arrays compressed with zlib: for ParaView, PyVista and meshio."""

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_mesher.groups import Groups
from porelay_mesher.meshes import Export, Exported, Meshes
from porelay_schemas.base import Params

TRIANGLE, TETRAHEDRON = 5, 10
"""Cell types of VTK."""
BLOCK = 1 << 17
"""Bytes that are compressed at once; a multiple of 3 and 8 is not needed, base64 runs over all blocks."""
NAMES = {"f": "Float64", "i": "Int32", "u": "UInt8"}


class VtuParams(Params):
    """Parameters of `vtu`."""

    level: int = Field(default=1, ge=0, le=9, description="effort of zlib: 0 stores, 9 is smallest and slowest")


def vtu(meshes: Meshes, params: VtuParams) -> Export:
    """VTK unstructured grid, compressed: tetrahedra and boundary triangles with phase, region and group."""
    groups = Groups(meshes.need_tets("vtu"), meshes.phases, meshes.collector)
    yield Exported("electrode.vtu", _chunks(groups, params.level))


def _chunks(groups: Groups, level: int) -> Iterator[bytes]:
    mesh = groups.mesh
    tets, triangles = len(mesh.tetrahedra), len(mesh.triangles)
    yield (
        b'<?xml version="1.0"?>\n<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" '
        b'header_type="UInt32" compressor="vtkZLibDataCompressor">\n<UnstructuredGrid>\n'
        + f'<Piece NumberOfPoints="{len(mesh.nodes_um)}" NumberOfCells="{tets + triangles}">\n<Points>\n'.encode()
    )
    yield from _array("Points", mesh.nodes_um, level, components=3)
    yield b"</Points>\n<Cells>\n"
    yield from _array("connectivity", np.concatenate([mesh.tetrahedra.ravel(), mesh.triangles.ravel()]), level)
    yield from _array("offsets", np.cumsum(_per_cell(tets, 4, triangles, 3, np.int32), dtype=np.int32), level)
    yield from _array("types", _per_cell(tets, TETRAHEDRON, triangles, TRIANGLE, np.uint8), level)
    yield b'</Cells>\n<CellData Scalars="phase">\n'
    none = np.full(triangles, -1, np.int32)
    yield from _array("phase", np.concatenate([mesh.phases.astype(np.int32), none]), level)
    yield from _array("region", np.concatenate([mesh.regions, none]), level)
    yield from _array("group", np.concatenate([groups.tetrahedron_tags, groups.triangle_tags]).astype(np.int32), level)
    yield b"</CellData>\n</Piece>\n</UnstructuredGrid>\n</VTKFile>\n"


def _per_cell(first: int, value: int, second: int, other: int, dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.full(first, value, dtype), np.full(second, other, dtype)])


def _array(name: str, values: NDArray[Any], level: int, components: int = 0) -> Iterator[bytes]:
    kind = NAMES[values.dtype.kind]
    columns = f' NumberOfComponents="{components}"' if components else ""
    yield f'<DataArray type="{kind}" Name="{name}"{columns} format="binary">\n'.encode()
    yield _compressed(values, level)
    yield b"\n</DataArray>\n"


def _compressed(values: NDArray[Any], level: int) -> bytes:
    """Return the header (blocks, block size, size of the last one, compressed sizes) and the blocks, each in base64."""
    data = values.tobytes()
    blocks = [zlib.compress(data[at : at + BLOCK], level) for at in range(0, len(data), BLOCK)]
    head = struct.pack(f"<{3 + len(blocks)}I", len(blocks), BLOCK, len(data) % BLOCK, *map(len, blocks))
    return base64.b64encode(head) + base64.b64encode(b"".join(blocks))
