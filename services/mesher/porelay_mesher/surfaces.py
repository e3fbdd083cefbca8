"""Closed surfaces of the phases: cut out, smoothed together, decimated one by one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import lattice
from porelay_mesher.decimation import decimate
from porelay_mesher.meshes import FACES, Meshes, Surface
from porelay_mesher.moving import Guard
from porelay_mesher.tetrahedra import positions

Array = NDArray[np.float64]
Triangles = NDArray[np.int32]

SHRINK, SWELL = 0.5, -0.53
"""Weights of Taubin's filter (1995)."""
TURN = 0.2
"""Least cosine between the normals of a triangle before and after smoothing."""
REACH = 0.5
"""Farthest that smoothing takes a vertex along an axis, in voxels."""
NUDGE = 0.02
"""Share of the way to the middle of its own triangles that a doubled vertex moves before decimation."""


@dataclass(frozen=True, eq=False)
class Skins:
    """The surfaces of all phases in one: what two phases share is there once; phases on both sides, -1 - k outside."""

    vertices_um: Array  # (vertices, xyz)
    triangles: Triangles  # (triangles, 3)
    phases: NDArray[np.int32]  # (triangles, 2)
    box_um: tuple[float, float, float]


def cut_out(meshes: Meshes) -> Skins:
    """Return the triangles of the conformal mesh where there is one, else of the labels, moved in the same way."""
    if meshes.tets is not None:
        mesh = meshes.tets
        phases = np.where(mesh.sides < 0, mesh.sides, mesh.region_phase[np.maximum(mesh.sides, 0)])
        return _compact(mesh.nodes_um, mesh.triangles, phases)
    labels = np.asarray(meshes.labels[:, :, :], np.uint8)
    voxels = meshes.cleaning.before.voxels if meshes.cleaning else tuple(np.bincount(labels.ravel()))
    at = positions(labels, voxels, "level_set", Guard(voxel_um=meshes.voxel_um)) * np.array(meshes.voxel_um)
    return _compact(at.reshape(-1, 3)[:, ::-1], *lattice.walls(labels.astype(np.int32)))


def _compact(nodes_um: Array, triangles: Triangles, phases: NDArray[np.int32]) -> Skins:
    used, numbers = np.unique(triangles, return_inverse=True)
    x, y, z = nodes_um.max(axis=0)
    corners: Triangles = numbers.reshape(-1, 3).astype(np.int32)
    return Skins(np.ascontiguousarray(nodes_um[used]), corners, phases, (float(x), float(y), float(z)))


def smooth(skins: Skins, passes: int, voxel_um: tuple[float, float, float]) -> Array:
    """Return vertices after Taubin's filter: phases stay joined, the box flat, lines of three phases lines."""
    from scipy.sparse import csr_array

    first, second = _links(skins)
    count = np.bincount(first, minlength=len(skins.vertices_um))
    weights = np.where(count[first] > 1, 1 / count[first], 0.0)
    mean = csr_array((weights, (first, second)), shape=(len(count), len(count)))
    free = (count > 1)[:, None]
    at = skins.vertices_um
    for _ in range(passes):
        for weight in (SHRINK, SWELL):
            at = at + weight * free * (mean @ at - at)
    limit = REACH * np.array(voxel_um[::-1])
    moved = skins.vertices_um + np.clip(at - skins.vertices_um, -limit, limit)
    walls = _on_box(skins.vertices_um, skins.box_um)
    flat = np.stack([(walls >> k & 3) > 0 for k in (4, 2, 0)], axis=1)  # a mean of equals may round
    return _unfolded(skins, np.where(flat, skins.vertices_um, moved))


def _unfolded(skins: Skins, moved: Array) -> Array:
    """Return moved vertices, of which those are back in their old place that would turn a triangle over."""
    old = _normals(skins.vertices_um[skins.triangles])
    while True:
        new = _normals(moved[skins.triangles])
        cosine = np.einsum("ij,ij->i", old, new)
        turned = cosine < TURN * np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
        back = np.zeros(len(moved), bool)
        back[skins.triangles[turned]] = True
        back &= (moved != skins.vertices_um).any(axis=1)
        if not back.any():
            return moved
        moved = np.where(back[:, None], skins.vertices_um, moved)


def _normals(corners: Array) -> Array:
    a, b, c = corners.transpose(1, 0, 2)
    return np.asarray(np.cross(b - a, c - a), np.float64)


def _links(skins: Skins) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which vertex is pulled by which: along lines on lines, within the box face on a box face."""
    pairs = np.sort(skins.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1).astype(np.int64)
    keys, faces = np.unique(pairs[:, 0] * len(skins.vertices_um) + pairs[:, 1], return_counts=True)
    ends = np.stack(np.divmod(keys, len(skins.vertices_um)), axis=1)
    line = np.zeros(len(skins.vertices_um), bool)
    line[ends[faces > 2]] = True
    first, second = np.concatenate([ends, ends[:, ::-1]]).T
    on_line = np.tile(faces > 2, 2)
    walls = _on_box(skins.vertices_um, skins.box_um)
    kept = (on_line | ~line[first]) & ((walls[first] & walls[second]) == walls[first])
    return first[kept], second[kept]


def _on_box(vertices_um: Array, box_um: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Return the box faces that each vertex lies on, as bits; exact, since no vertex leaves its box face."""
    bits = np.zeros(len(vertices_um), np.uint8)
    for k, face in enumerate(FACES):
        axis = "xyz".index(face[0])
        plane = box_um[axis] if face.endswith("max") else 0.0
        bits |= (vertices_um[:, axis] == plane).astype(np.uint8) << np.uint8(k)
    return bits


def of_phase(skins: Skins, vertices_um: Array, phase: int) -> tuple[Array, Triangles]:
    """Return vertices and outward triangles of one phase; where it touches itself, vertices are doubled."""
    ahead = skins.triangles[skins.phases[:, 0] == phase]
    behind = skins.triangles[skins.phases[:, 1] == phase][:, ::-1]
    triangles = np.concatenate([ahead, behind])
    fans = _fans(triangles)
    origin = np.zeros(int(fans.max()) + 1, np.int64)
    origin[fans] = triangles.ravel()
    return vertices_um[origin], fans.reshape(-1, 3)


def closed(triangles: Triangles) -> bool:
    """Return whether every edge has one triangle on either side, turned the same way."""
    start, end = triangles, np.roll(triangles, -1, axis=1)
    size = int(triangles.max(initial=0)) + 1
    keys = np.sort((start.astype(np.int64) * size + end).ravel())
    turned = np.sort((end.astype(np.int64) * size + start).ravel())
    return bool((start != end).all() and (np.diff(keys) > 0).all() and np.array_equal(keys, turned))


def _fans(triangles: Triangles) -> NDArray[np.int32]:
    """Return the fan of each corner (3 * triangles,): corners of a vertex that hang together by edges."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, end = triangles.astype(np.int64), np.roll(triangles, -1, axis=1).astype(np.int64)
    size = int(triangles.max()) + 1
    edge = np.argsort((start * size + end).ravel(), kind="stable")
    partner = np.argsort((end * size + start).ravel(), kind="stable")  # runs along the same edge, the other way
    rows = np.concatenate([edge, _following(edge)])
    columns = np.concatenate([_following(partner), partner])
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(triangles.size, triangles.size))
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def _following(corner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the next corner of the same triangle."""
    return corner // 3 * 3 + (corner + 1) % 3


def of_all(skins: Skins, vertices_um: Array, meshes: Meshes, keep: float) -> Iterator[Surface]:
    """Yield the closed surface of each phase that is there."""
    for k, phase in enumerate(meshes.phases):
        if (skins.phases == k).any():
            points, triangles = of_phase(skins, vertices_um, k)
            if keep < 1:
                walls = _on_box(points, skins.box_um)
                points, triangles = decimate(_apart(points, triangles), triangles, walls, keep)
            yield Surface(phase, points, triangles)


def _apart(points: Array, triangles: Triangles) -> Array:
    """Return vertices of which doubled ones have moved a little into their own fans.

    Readers that join vertices by their place would otherwise close a fan onto the other.
    """
    _, place, count = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    doubled = count[place.ravel()] > 1
    middle = np.zeros_like(points)
    for axis in range(3):
        centres = np.repeat(points[triangles, axis].mean(axis=1), 3)
        middle[:, axis] = np.bincount(triangles.ravel(), centres, minlength=len(points))
    middle /= np.bincount(triangles.ravel(), minlength=len(points))[:, None]
    return np.where(doubled[:, None], points + NUDGE * (middle - points), points)
