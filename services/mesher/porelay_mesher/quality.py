"""Shape of the tetrahedra: dihedral angles, radius ratio, scaled Jacobian, and the volume of each phase."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.compiled import compiled
from porelay_mesher.meshes import TetMesh

Array = NDArray[np.float64]

ANGLE_BINS, RATIO_BINS = 180, 100
SLIVER = 0.1
"""Radius ratio below which a tetrahedron counts as a sliver."""


@dataclass(frozen=True, eq=False)
class Quality:
    """Counts over the tetrahedra at interfaces: dihedral angles in bins of one degree, the ratios in bins of 0.01.

    All others have the shape of the lattice. Extremes and volumes are over all tetrahedra.

    The radius ratio is 3 r / R of the inscribed and circumscribed spheres, the scaled Jacobian that of VERDICT
    (Knupp et al. 2006): both are 1 for the regular tetrahedron and 0 for a flat one.
    """

    angles: NDArray[np.int64]
    radius_ratios: NDArray[np.int64]
    jacobians: NDArray[np.int64]
    min_angle: float
    max_angle: float
    min_radius_ratio: float
    min_jacobian: float
    inverted: int
    slivers: int
    volumes_um3: Array  # of each phase


def measure(mesh: TetMesh, phases: int) -> Quality:
    """Return the quality of a mesh."""
    at_interface = np.zeros(len(mesh.nodes_um), bool)
    at_interface[mesh.triangles[mesh.sides[:, 1] >= 0]] = True
    counts = np.zeros((3, ANGLE_BINS), np.int64)
    extremes = np.array([180.0, 0.0, 2.0, 2.0])
    volumes = np.zeros(len(mesh.region_phase))
    inverted, slivers = _measure(mesh.nodes_um, mesh.tetrahedra, mesh.regions, at_interface, counts, extremes, volumes)
    return Quality(
        angles=counts[0],
        radius_ratios=counts[1, :RATIO_BINS],
        jacobians=counts[2, :RATIO_BINS],
        min_angle=float(extremes[0]),
        max_angle=float(extremes[1]),
        min_radius_ratio=float(extremes[2]),
        min_jacobian=float(extremes[3]),
        inverted=int(inverted),
        slivers=int(slivers),
        volumes_um3=np.bincount(mesh.region_phase, volumes, phases).astype(np.float64),
    )


@compiled
def _measure(
    nodes: Array,
    tetrahedra: NDArray[np.int32],
    regions: NDArray[np.int32],
    at_interface: NDArray[np.bool_],
    counts: NDArray[np.int64],
    extremes: Array,
    volumes: Array,
) -> tuple[int, int]:
    """Fill the counts, extremes and volumes; return the number of inverted tetrahedra and of slivers."""
    inverted = slivers = 0
    edges, lengths, areas = np.empty((6, 3)), np.empty(6), np.empty((4, 3))
    for t in range(len(tetrahedra)):
        a, b, c, d = tetrahedra[t]
        for axis in range(3):
            edges[0, axis] = nodes[b, axis] - nodes[a, axis]
            edges[1, axis] = nodes[c, axis] - nodes[a, axis]
            edges[2, axis] = nodes[d, axis] - nodes[a, axis]
            edges[3, axis] = nodes[c, axis] - nodes[b, axis]
            edges[4, axis] = nodes[d, axis] - nodes[b, axis]
            edges[5, axis] = nodes[d, axis] - nodes[c, axis]
        for k in range(6):
            lengths[k] = _length(edges[k])
        _cross(edges[4], edges[3], areas[0])  # of the faces opposite to a, b, c, d, all inward
        _cross(edges[1], edges[2], areas[1])
        _cross(edges[2], edges[0], areas[2])
        _cross(edges[0], edges[1], areas[3])
        volume6 = areas[3, 0] * edges[2, 0] + areas[3, 1] * edges[2, 1] + areas[3, 2] * edges[2, 2]
        volumes[regions[t]] += volume6 / 6
        if volume6 <= 0:
            inverted += 1
        ratio, jacobian = _radius_ratio(volume6, lengths, areas), _jacobian(volume6, lengths)
        slivers += ratio < SLIVER
        extremes[2], extremes[3] = min(extremes[2], ratio), min(extremes[3], jacobian)
        weight = at_interface[a] or at_interface[b] or at_interface[c] or at_interface[d]
        counts[1, min(max(int(ratio * RATIO_BINS), 0), RATIO_BINS - 1)] += weight
        counts[2, min(max(int(jacobian * RATIO_BINS), 0), RATIO_BINS - 1)] += weight
        for i in range(4):
            for j in range(i):
                angle = _dihedral(areas[i], areas[j])
                extremes[0], extremes[1] = min(extremes[0], angle), max(extremes[1], angle)
                counts[0, min(int(angle), ANGLE_BINS - 1)] += weight
    return inverted, slivers


@compiled
def _length(v: Array) -> float:
    length: float = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    return length


@compiled
def _cross(u: Array, v: Array, out: Array) -> None:
    out[0] = u[1] * v[2] - u[2] * v[1]
    out[1] = u[2] * v[0] - u[0] * v[2]
    out[2] = u[0] * v[1] - u[1] * v[0]


@compiled
def _dihedral(m: Array, n: Array) -> float:
    """Return the angle in degrees between two faces with inward normals."""
    cosine = -(m[0] * n[0] + m[1] * n[1] + m[2] * n[2]) / (_length(m) * _length(n))
    angle: float = np.degrees(np.arccos(min(max(cosine, -1.0), 1.0)))
    return angle


@compiled
def _radius_ratio(volume6: float, lengths: Array, areas: Array) -> float:
    """Return 3 r / R; `areas` are twice the faces' area vectors."""
    surface2 = _length(areas[0]) + _length(areas[1]) + _length(areas[2]) + _length(areas[3])
    p, q, r = lengths[0] * lengths[5], lengths[1] * lengths[4], lengths[2] * lengths[3]
    root = np.sqrt(max((p + q + r) * (p + q - r) * (p - q + r) * (q + r - p), 0.0))
    return 12 * volume6 * abs(volume6) / (surface2 * root) if root > 0 else 0.0


@compiled
def _jacobian(volume6: float, l: Array) -> float:  # noqa: E741
    """Return the scaled Jacobian."""
    corners = max(max(l[0] * l[1] * l[2], l[0] * l[3] * l[4]), max(l[1] * l[3] * l[5], l[2] * l[4] * l[5]))
    jacobian: float = np.sqrt(2.0) * volume6 / corners
    return jacobian
