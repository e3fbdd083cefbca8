"""Effective diffusivity and tortuosity factor, from solving the diffusion equation in a phase.

Steady diffusion, finite volumes, one cell a voxel; the two faces across the axis are held at 0 and 1 on the outer
faces of the volume, the four sides let nothing through. Only parts that reach from face to face are solved for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.connected import percolating
from porelay_schemas.base import VoxelUm
from porelay_schemas.errors import BadInput

CUBE: VoxelUm = (1.0, 1.0, 1.0)
BYTES_PER_VOXEL = 38
"""Peak of one solution with its masks; 32 were measured at 160^3, and padding weighs more in small volumes."""


@dataclass(frozen=True)
class Diffusivity:
    """What one phase lets through along one axis.

    `effective` is D_eff/D0, 0 where the phase does not percolate; `error` its numerical error. `fraction` and
    `percolating_fraction` are shares of the volume.
    """

    effective: float
    error: float
    fraction: float
    percolating_fraction: float
    iterations: int = 0

    @property
    def percolates(self) -> bool:
        """Whether the phase joins the two faces."""
        return self.percolating_fraction > 0

    @property
    def tortuosity(self) -> float | None:
        """Tortuosity factor: volume fraction / (D_eff/D0). None where the phase does not percolate."""
        return self.fraction / self.effective if self.percolates else None

    @property
    def tortuosity_percolating(self) -> float | None:
        """The same with the fraction of the percolating part alone."""
        return self.percolating_fraction / self.effective if self.percolates else None


def effective_diffusivity(
    mask: NDArray[np.bool_],
    voxel_um: VoxelUm = CUBE,
    axis: int = 0,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 1000,
) -> Diffusivity:
    """Return D_eff/D0 of the phase where `mask` (z, y, x) is true, along an axis, to a relative `tolerance`.

    Raises BadInput where `max_iterations` are not enough.
    """
    mask = np.asarray(mask, bool)
    _check(mask, axis)
    way = percolating(mask, axis)
    fraction, reaching = float(mask.mean()), float(way.mean())
    if reaching == 0:
        return Diffusivity(0.0, 0.0, fraction, 0.0)
    value, error, iterations = _conductance(way, voxel_um, axis, tolerance, max_iterations)
    return Diffusivity(value, error, fraction, reaching, iterations)


def effective_conductivity(
    conductivity: NDArray[Any],
    voxel_um: VoxelUm = CUBE,
    axis: int = 0,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 1000,
) -> Diffusivity:
    """Return the conductivity of a volume whose voxels (z, y, x) conduct differently, 0 for those that do not.

    `effective` has the unit of `conductivity`; the fractions are those of the voxels that conduct.
    """
    conductivity = np.asarray(conductivity, np.float32)
    mask = conductivity > 0
    _check(mask, axis)
    way = percolating(mask, axis)
    fraction, reaching = float(mask.mean()), float(way.mean())
    if reaching == 0:
        return Diffusivity(0.0, 0.0, fraction, 0.0)
    value, error, iterations = _conductance(
        np.where(way, conductivity, np.float32(0)), voxel_um, axis, tolerance, max_iterations
    )
    return Diffusivity(value, error, fraction, reaching, iterations)


def _check(mask: NDArray[np.bool_], axis: int) -> None:
    if mask.ndim != 3 or mask.size == 0 or axis not in (0, 1, 2):
        raise BadInput(f"diffusivity: got shape {mask.shape} and axis {axis}, wanted (z, y, x) and axis 0, 1 or 2.")


def _conductance(
    way: NDArray[Any], voxel_um: VoxelUm, axis: int, tolerance: float, max_iterations: int
) -> tuple[float, float, int]:
    from porelay_metrics.diffusion.hierarchy import uniform, varying
    from porelay_metrics.diffusion.solve import solve

    order = (axis, *(other for other in range(3) if other != axis))
    edges = (voxel_um[order[0]], voxel_um[order[1]], voxel_um[order[2]])
    turned = np.transpose(way, order)
    level = uniform(turned, edges) if way.dtype == bool else varying(turned, edges)
    found = solve(level, edges, tolerance=tolerance, max_iterations=max_iterations)
    if not found.converged:
        raise BadInput(
            f"the solver stopped after {found.iterations} iterations with an estimated relative error of "
            f"{found.error / found.conductance:.1e} of the effective diffusivity, wanted {tolerance:.1e}. "
            "Raise max_iterations, or loosen tolerance."
        )
    layers, rows, columns = turned.shape
    norm = layers / (rows * columns) / float(np.float32((min(edges) / edges[0]) ** 2))
    return found.conductance * norm, found.error * norm, found.iterations
