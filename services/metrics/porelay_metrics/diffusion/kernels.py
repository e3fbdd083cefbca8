"""Compiled loops of the solver. Fields are padded by one voxel; see `faces` for the conductances."""

from typing import Any

from porelay_metrics.diffusion.faces import lose, outward, pull, through
from porelay_metrics.jit import kernel


@kernel
def smooth(x: Any, rhs: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, colour: int, sweeps: int) -> None:
    """Do half sweeps of Gauss-Seidel, of `colour` and the other one in turn.

    A layer gets all of them while it is in the cache: sweep s works s layers behind the first one, which gives the
    same numbers as sweeping the whole volume each time.
    """
    layers, size = x.shape[0] - 2, x.shape[2] - 2
    row = x[0, 0, 1 : size + 1].copy()
    for step in range(layers + sweeps - 1):
        for sweep in range(sweeps):
            k = step - sweep + 1
            if 1 <= k <= layers:
                _relax(x, rhs, diagonal, faces0, faces1, faces2, row, k, colour + sweep)


@kernel
def _relax(
    x: Any, rhs: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, row: Any, k: int, colour: int
) -> None:
    size = x.shape[2] - 2
    for j in range(1, x.shape[1] - 1):
        pull(row, x, faces0, faces1, faces2, k, j)
        values, force, total = x[k, j, 1 : size + 1], rhs[k, j, 1 : size + 1], diagonal[k, j, 1 : size + 1]
        parity = (k + j + colour) & 1
        for i in range(size):
            relaxed = (row[i] + force[i]) / total[i]
            values[i] = relaxed if (i & 1) == parity and total[i] > 0 else values[i]


@kernel
def apply(x: Any, result: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any) -> float:
    """Write A x to `result`; return x.A x."""
    size = x.shape[2] - 2
    row = x[0, 0, 1 : size + 1].copy()
    product = 0.0
    for k in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            lose(row, x, diagonal, faces0, faces1, faces2, k, j)
            values, total, out = x[k, j, 1 : size + 1], diagonal[k, j, 1 : size + 1], result[k, j, 1 : size + 1]
            for i in range(size):
                out[i] = row[i] if total[i] > 0 else 0
            for i in range(size):
                product += float(out[i]) * float(values[i])
    return product


@kernel
def restrict(
    x: Any, rhs: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any, coarse: Any, steps: tuple[int, int, int]
) -> None:
    """Sum the residual rhs - A x over the voxels that make up each coarse one (`steps` along each axis)."""
    size = x.shape[2] - 2
    row = x[0, 0, 1 : size + 1].copy()
    coarse[:] = 0
    for k in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            pull(row, x, faces0, faces1, faces2, k, j)
            values, force, total = x[k, j, 1 : size + 1], rhs[k, j, 1 : size + 1], diagonal[k, j, 1 : size + 1]
            for i in range(size):
                row[i] = force[i] + row[i] - total[i] * values[i] if total[i] > 0 else 0
            fold(coarse[(k - 1) // steps[0] + 1, (j - 1) // steps[1] + 1, 1:-1], row, steps[2])


@kernel
def fold(coarse: Any, row: Any, step: int) -> None:
    """Add each value of a row, or each two of them, to one of a coarse row."""
    if step == 1:
        for i in range(row.size):
            coarse[i] += row[i]
        return
    for i in range(row.size // 2):
        coarse[i] += row[2 * i] + row[2 * i + 1]
    if row.size % 2:
        coarse[row.size // 2] += row[row.size - 1]


@kernel
def prolong(x: Any, diagonal: Any, coarse: Any, steps: tuple[int, int, int]) -> None:
    """Add the coarse value to all the conducting voxels that make it up."""
    size = x.shape[2] - 2
    row = x[0, 0, : size + 1].copy()
    for k in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            values, total = x[k, j, 1 : size + 1], diagonal[k, j, 1 : size + 1]
            more = coarse[(k - 1) // steps[0] + 1, (j - 1) // steps[1] + 1, 1:-1]
            for i in range(more.size):
                row[steps[2] * i] = more[i]
                row[steps[2] * i + steps[2] - 1] = more[i]
            for i in range(size):
                values[i] = values[i] + row[i] if total[i] > 0 else values[i]


@kernel
def advance(solution: Any, residual: Any, direction: Any, image: Any, step: Any) -> float:
    """Move the solution along a direction, whose image under A is given; return the new residual's square."""
    square = 0.0
    solution, residual = solution.reshape(-1), residual.reshape(-1)
    direction, image = direction.reshape(-1), image.reshape(-1)
    for i in range(solution.size):
        solution[i] += step * direction[i]
        residual[i] = residual[i] - step * image[i]
        square += float(residual[i]) * float(residual[i])
    return square


@kernel
def dot(a: Any, b: Any) -> float:
    """Return the inner product, summed in double precision."""
    a, b = a.reshape(-1), b.reshape(-1)
    total = 0.0
    for i in range(a.size):
        total += float(a[i]) * float(b[i])
    return total


@kernel
def turn(direction: Any, preconditioned: Any, share: Any) -> None:
    """Replace the direction by `preconditioned + share * direction`."""
    direction, preconditioned = direction.reshape(-1), preconditioned.reshape(-1)
    for i in range(direction.size):
        direction[i] = preconditioned[i] + share * direction[i]


@kernel
def balance(solution: Any, residual: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any) -> tuple[float, float]:
    """Write what flows into each voxel under the linear ramp plus `solution`, in double precision.

    Returns the sum of its squares, and the dissipation, which is the conductance of the volume. Under the ramp alone
    the inflow is the right-hand side b of A solution = b; the dissipation is that of the ramp less (2 b - A s).s.
    """
    layers, size = solution.shape[0] - 2, solution.shape[2] - 2
    row = solution[0, 0, 1 : size + 1].copy()
    square, dissipation = 0.0, 0.0
    for k in range(1, layers + 1):
        for j in range(1, solution.shape[1] - 1):
            lose(row, solution, diagonal, faces0, faces1, faces2, k, j)
            for i in range(1, size + 1):
                behind, ahead = _ramp(faces0, diagonal, k - 1, j, i, layers), _ramp(faces0, diagonal, k, j, i, layers)
                force = (ahead - behind) / layers
                value = force - row[i - 1] if diagonal[k, j, i] > 0 else 0.0
                residual[k, j, i] = value
                square += value * value
                dissipation += (ahead + behind) / (2 * layers * layers) - (force + value) * solution[k, j, i]
    return square, dissipation


@kernel
def _ramp(faces0: Any, diagonal: Any, k: int, j: int, i: int, layers: int) -> float:
    """Return what a rise by one per voxel drives from layer k to the next one."""
    if k == 0 or k == layers:
        return float(outward(faces0, diagonal, k, j, i)) / 2
    return float(through(faces0, diagonal, (k, j, i), (k + 1, j, i)))
