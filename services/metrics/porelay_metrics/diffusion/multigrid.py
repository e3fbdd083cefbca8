"""One V-cycle of geometric multigrid, symmetric, as the preconditioner of conjugate gradients."""

from collections.abc import Sequence

from porelay_metrics.diffusion import kernels
from porelay_metrics.diffusion.hierarchy import Coarse, Field, Level

HALF_SWEEPS = 4
COARSEST_HALF_SWEEPS = 16


def cycle(level: Level, x: Field, rhs: Field, below: Sequence[Coarse]) -> None:
    """Replace x by an approximate solution of A x = rhs, which depends on rhs linearly and symmetrically."""
    x.fill(0)
    half_sweeps = HALF_SWEEPS if below else COARSEST_HALF_SWEEPS
    kernels.smooth(x, rhs, level.diagonal, *level.faces, 0, half_sweeps)
    if below:
        coarse = below[0]
        kernels.restrict(x, rhs, level.diagonal, *level.faces, coarse.rhs, level.steps)
        cycle(coarse.level, coarse.x, coarse.rhs, below[1:])
        kernels.prolong(x, level.diagonal, coarse.x, level.steps)
    kernels.smooth(x, rhs, level.diagonal, *level.faces, 1, half_sweeps)
