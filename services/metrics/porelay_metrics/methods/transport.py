"""Transport: effective diffusivity and tortuosity factor from the diffusion equation."""

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_metrics.diffusivity import BYTES_PER_VOXEL, Diffusivity, effective_diffusivity
from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import MetricParams
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.descriptors import AXES, AxisName, Definition, Descriptor
from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.plan import Phase

EFFECTIVE = Definition(
    id="diffusivity_face_dirichlet.v1",
    text="D_eff/D0 = sigma_eff/sigma0 of the phase alone, from the dissipation of the solved diffusion equation",
)
TOTAL = Definition(id="tortuosity_factor_total.v1", text="volume fraction of the phase / (D_eff/D0)")
REACHING = Definition(
    id="tortuosity_factor_percolating.v1", text="volume fraction of the phase's percolating part / (D_eff/D0)"
)
BRUGGEMAN = Definition(
    id="bruggeman_diffusivity.v1", text="not measured: volume fraction ^ 1.5, Bruggeman's estimate of D_eff/D0"
)
BRUGGEMAN_TAU = Definition(
    id="bruggeman_tortuosity.v1", text="not measured: volume fraction ^ -0.5, Bruggeman's estimate"
)
BOUNDARY = "fixed values on the two faces across the axis (half a voxel from the centres), no flux through the sides"
NO_WAY = "does not percolate"


class TransportParams(MetricParams):
    """Parameters of `transport`."""

    tolerance: float = Field(
        default=1e-4, gt=1e-9, le=0.1, description="relative numerical error of D_eff at which to stop"
    )
    max_iterations: int = Field(default=1000, ge=1, le=100_000, description="iterations after which to give up")
    phases: tuple[str, ...] = Field(default=(), description="names of the phases to solve for; none: all")
    axes: tuple[AxisName, ...] = Field(default=AXES, min_length=1, description="axes of the flux")

    def bytes_needed(self, shape: Axis3, phases: int) -> int:
        """One solution at a time, beside the labels."""
        return (1 + BYTES_PER_VOXEL) * prod(shape)


def transport(labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: TransportParams) -> list[Descriptor]:
    """Effective diffusivity and tortuosity factor of each phase along each axis, with their numerical error.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). A phase that does
    not percolate has D_eff 0 and no tortuosity. Bruggeman's estimates stand beside under their own names. Raises
    BadInput where a label is no phase, or the solver needs more than `max_iterations`.
    """
    labels = Labels.of(labels, phases)
    chosen = _chosen(phases, params.phases)
    whole = labels.whole()
    jobs = [(index, axis) for index, axis in product(chosen, params.axes) if whole.shape[AXES.index(axis)] > 1]

    def solve(job: tuple[int, AxisName]) -> Diffusivity | None:
        return _solve(
            whole == job[0], voxel_um, AXES.index(job[1]), f"phase {phases[job[0]].name!r} along {job[1]}", params
        )

    answers = labels.room.map(solve, jobs, bytes_each=BYTES_PER_VOXEL * labels.voxels)
    known = dict(zip(jobs, answers, strict=True))
    found = []
    for index in chosen:
        for axis in params.axes:
            flat = f"the volume is one voxel thick along {axis}" if (index, axis) not in known else ""
            found += _along(phases[index].name, axis, known.get((index, axis)), flat or "the phase is absent")
        found += _bruggeman(phases[index].name, float(np.mean(whole == index)))
    return found


def _chosen(phases: Sequence[Phase], wanted: Sequence[str]) -> list[int]:
    names = [phase.name for phase in phases]
    for name in wanted:
        if name not in names:
            raise BadInput(f"metrics.transport.phases: no phase is called {name!r}. {nearest(name, names)}")
    return [index for index, name in enumerate(names) if not wanted or name in wanted]


def _solve(
    mask: NDArray[np.bool_], voxel_um: VoxelUm, axis: int, what: str, params: TransportParams
) -> Diffusivity | None:
    if not mask.any():
        return None
    try:
        return effective_diffusivity(
            mask, voxel_um, axis, tolerance=params.tolerance, max_iterations=params.max_iterations
        )
    except BadInput as error:
        raise BadInput(f"metrics.transport: {what}: {error}") from error


def _along(phase: str, axis: AxisName, known: Diffusivity | None, why_not: str) -> list[Descriptor]:
    effective = known.effective if known else None
    relative = known.error / known.effective if known and known.effective else None
    rows = (
        ("effective_diffusivity", EFFECTIVE, effective),
        ("tortuosity_factor", TOTAL, known.tortuosity if known else None),
        ("tortuosity_factor_percolating", REACHING, known.tortuosity_percolating if known else None),
    )
    return [
        Descriptor(
            name=name,
            phases=(phase,),
            axis=axis,
            value=value,
            unit="1",
            definition=definition,
            connectivity=6,
            boundary=BOUNDARY,
            percolates=known.percolates if known else None,
            numerical_error=None if value is None or relative is None else value * relative,
            mean="arithmetic" if definition is EFFECTIVE else "harmonic",
            note=why_not if known is None else "" if known.percolates else NO_WAY,
        )
        for name, definition, value in rows
    ]


def _bruggeman(phase: str, fraction: float) -> list[Descriptor]:
    absent = fraction == 0
    note = "the phase is absent" if absent else "an estimate from the volume fraction alone"
    rows = (
        ("bruggeman_diffusivity", BRUGGEMAN, None if absent else fraction**1.5),
        ("bruggeman_tortuosity", BRUGGEMAN_TAU, None if absent else fraction**-0.5),
    )
    return [
        Descriptor(name=name, phases=(phase,), value=value, unit="1", definition=definition, note=note)
        for name, definition, value in rows
    ]
