"""Fewer triangles by quadric error (Garland & Heckbert 1997), on a closed surface that stays closed.

An edge collapses only where its ends have exactly two neighbours in common (the link condition, Dey et al. 1999), so
that no sheet ever folds onto another, and where no triangle turns over. Vertices on a box face stay in it.
"""

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.compiled import compiled

Array = NDArray[np.float64]
Triangles = NDArray[np.int32]
Bits = NDArray[np.uint8]

SHARE = 0.4
"""Share of the edges, cheapest first, that a pass may collapse."""
LEAST = 1e-3
"""Share of the triangles that a pass must remove for another to follow."""
TURN = 0.2
"""Least cosine between the normals of a triangle before and after."""
REGULAR = 1e-6
"""Weight of the distance moved against the distance from the surface: spreads collapses over flat places."""


def decimate(points: Array, triangles: Triangles, walls: Bits, keep: float) -> tuple[Array, Triangles]:
    """Return a closed surface with about a share `keep` of the triangles, or as few as can be reached.

    `points` (n, 3); `walls` says as bits which box faces a vertex lies on.
    """
    points, triangles, walls = points.copy(), triangles.copy(), walls.copy()
    quadrics = _quadrics(points, triangles)
    target = int(keep * len(triangles))
    while len(triangles) > target:
        edges = _edges(triangles)
        costs = _costs(points, quadrics, walls, edges)
        order = np.argsort(costs, kind="stable")[: int(SHARE * len(costs)) + 1]
        order = order[np.isfinite(costs[order])]
        first, incident = _incidence(triangles, len(points))
        before = len(triangles)
        _collapse(points, triangles, quadrics, walls, edges[order], first, incident, (before - target + 1) // 2)
        triangles = triangles[triangles[:, 0] >= 0]
        if before - len(triangles) < max(LEAST * before, 1):
            break
    used, numbers = np.unique(triangles, return_inverse=True)
    return points[used], numbers.reshape(-1, 3).astype(np.int32)


def _quadrics(points: Array, triangles: Triangles) -> Array:
    """Return for each vertex the sum (n, 4, 4) of its triangles' plane quadrics, weighted by area."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    double = np.linalg.norm(normal, axis=1)
    normal = normal / np.maximum(double, 1e-300)[:, None]
    plane = np.concatenate([normal, -np.einsum("ij,ij->i", normal, a)[:, None]], axis=1)
    outer = plane[:, :, None] * plane[:, None, :] * (double / 6)[:, None, None]
    sums = np.zeros((len(points), 16))
    for k in range(16):
        sums[:, k] = np.bincount(triangles.ravel(), np.repeat(outer.reshape(-1, 16)[:, k], 3), minlength=len(points))
    return sums.reshape(-1, 4, 4)


def _edges(triangles: Triangles) -> Triangles:
    """Return each edge (n, 2) once."""
    pairs = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    return np.ascontiguousarray(pairs[pairs[:, 0] < pairs[:, 1]])


def _incidence(triangles: Triangles, vertices: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the triangles of vertex v as incident[first[v] : first[v + 1]]."""
    order = np.argsort(triangles.ravel(), kind="stable")
    first = np.zeros(vertices + 1, np.int64)
    np.cumsum(np.bincount(triangles.ravel(), minlength=vertices), out=first[1:])
    return first, order // 3


@compiled
def _costs(points: Array, quadrics: Array, walls: Bits, edges: Triangles) -> Array:
    costs = np.empty(len(edges))
    at = np.empty(3)
    for k in range(len(edges)):
        costs[k] = _place(points, quadrics, walls, edges[k, 0], edges[k, 1], at)
    return costs


@compiled
def _place(points: Array, quadrics: Array, walls: Bits, u: int, v: int, at: Array) -> float:
    """Write where the edge u-v collapses to, one of its ends or its middle; return the cost, infinite for nowhere."""
    cost = np.inf
    gap = 0.0
    for i in range(3):
        gap += (points[u, i] - points[v, i]) ** 2
    joint = walls[u] | walls[v]
    trial = np.empty(3)
    for t in (0.0, 0.5, 1.0):
        if (t < 1 and joint != walls[u]) or (t > 0 and joint != walls[v]):
            continue  # would leave a box face
        for i in range(3):
            trial[i] = (1 - t) * points[u, i] + t * points[v, i]
        error = _error(quadrics[u], trial) + _error(quadrics[v], trial) + REGULAR * gap * gap
        if error < cost:
            cost = error
            at[:] = trial
    return cost


@compiled
def _error(q: Array, p: Array) -> float:
    total: float = q[3, 3]
    for i in range(3):
        total += 2 * q[i, 3] * p[i]
        for j in range(3):
            total += q[i, j] * p[i] * p[j]
    return total


@compiled
def _collapse(
    points: Array,
    triangles: Triangles,
    quadrics: Array,
    walls: Bits,
    edges: Triangles,
    first: NDArray[np.int64],
    incident: NDArray[np.int64],
    most: int,
) -> None:
    """Collapse at most `most` of the edges, in their order, none within the ring of another; dead triangles get -1."""
    locked = np.zeros(len(points), np.bool_)
    stamp = np.zeros(len(points), np.int64)
    at = np.empty(3)
    done = 0
    for k in range(len(edges)):
        if done >= most:
            break
        u, v = edges[k]
        if locked[u] or locked[v]:
            continue
        _place(points, quadrics, walls, u, v, at)
        if _common(triangles, first, incident, u, v, stamp, 2 * k + 1) != 2:
            continue
        if _valence(triangles, first, incident, u) == 3 and _valence(triangles, first, incident, v) == 3:
            continue  # a tetrahedron would fold flat
        if _turns(points, triangles, first, incident, u, v, at) or _turns(points, triangles, first, incident, v, u, at):
            continue
        for vertex in (u, v):
            for n in range(first[vertex], first[vertex + 1]):
                for i in range(3):
                    if triangles[incident[n], i] >= 0:
                        locked[triangles[incident[n], i]] = True
        for n in range(first[v], first[v + 1]):
            _rename(triangles[incident[n]], u, v)
        points[u] = at
        quadrics[u] += quadrics[v]
        walls[u] |= walls[v]
        done += 1


@compiled
def _rename(triangle: NDArray[np.int32], u: int, v: int) -> None:
    """Put u in place of v; mark the triangle dead where it had both."""
    if triangle[0] == u or triangle[1] == u or triangle[2] == u:
        triangle[:] = -1
        return
    for i in range(3):
        if triangle[i] == v:
            triangle[i] = u


@compiled
def _common(
    triangles: Triangles,
    first: NDArray[np.int64],
    incident: NDArray[np.int64],
    u: int,
    v: int,
    stamp: NDArray[np.int64],
    mark: int,
) -> int:
    """Return how many neighbours u and v have in common."""
    for n in range(first[u], first[u + 1]):
        for i in range(3):
            other = triangles[incident[n], i]
            if other >= 0 and other != u and other != v:
                stamp[other] = mark
    common = 0
    for n in range(first[v], first[v + 1]):
        for i in range(3):
            other = triangles[incident[n], i]
            if other >= 0 and other != u and other != v and stamp[other] == mark:
                stamp[other] = mark + 1
                common += 1
    return common


@compiled
def _valence(triangles: Triangles, first: NDArray[np.int64], incident: NDArray[np.int64], u: int) -> int:
    """Return how many triangles a vertex has."""
    count = 0
    for n in range(first[u], first[u + 1]):
        count += triangles[incident[n], 0] >= 0
    return count


@compiled
def _turns(
    points: Array,
    triangles: Triangles,
    first: NDArray[np.int64],
    incident: NDArray[np.int64],
    u: int,
    v: int,
    at: Array,
) -> bool:
    """Return whether a triangle of u without v would turn over, or collapse, with u at `at`."""
    old, new = np.empty(3), np.empty(3)
    for n in range(first[u], first[u + 1]):
        a, b, c = triangles[incident[n]]
        if a < 0 or a == v or b == v or c == v:
            continue
        _normal(points[a], points[b], points[c], old)
        _normal(at if a == u else points[a], at if b == u else points[b], at if c == u else points[c], new)
        dot = old[0] * new[0] + old[1] * new[1] + old[2] * new[2]
        sizes = (old**2).sum() * (new**2).sum()
        if dot <= 0 or dot * dot <= TURN * TURN * sizes:
            return True
    return False


@compiled
def _normal(a: Array, b: Array, c: Array, out: Array) -> None:
    out[0] = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    out[1] = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    out[2] = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
