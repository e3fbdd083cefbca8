"""Percolation: what share of each phase is connected from face to face."""

from collections.abc import Sequence
from math import prod

from porelay_metrics.connected import Reach, reaches
from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import MetricParams
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.descriptors import AXES, AxisName, Definition, Descriptor
from porelay_schemas.plan import Phase

PERCOLATING = Definition(
    id="percolating_6.v1",
    text="voxels in parts (6 neighbours) that touch both faces across the axis / voxels of the phase",
)
ISOLATED = Definition(
    id="isolated_6.v1",
    text="voxels in parts (6 neighbours) that touch neither face across the axis / voxels of the phase",
)


class PercolationParams(MetricParams):
    """Nothing more to choose."""

    def bytes_needed(self, shape: Axis3, phases: int) -> int:
        """Labels, mask and part numbers."""
        return 12 * prod(shape)


def percolation(
    labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: PercolationParams
) -> list[Descriptor]:
    """Share of each phase that is connected from face to face, and that touches neither face, along each axis.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). What is left over
    touches one face. Raises BadInput where a label is no phase.
    """
    labels = Labels.of(labels, phases)
    whole = labels.whole()

    def reach(index: int) -> list[Reach] | None:
        mask = whole == index
        return reaches(mask) if mask.any() else None

    found = labels.room.map(reach, range(len(phases)), bytes_each=12 * labels.voxels)
    return [
        descriptor
        for phase, along in zip(phases, found, strict=True)
        for axis, name in enumerate(AXES)
        for descriptor in _along(phase, name, along[axis] if along else None, flat=whole.shape[axis] == 1)
    ]


def _along(phase: Phase, axis: AxisName, reach: Reach | None, *, flat: bool) -> list[Descriptor]:
    note = f"the volume is one voxel thick along {axis}" if flat else "the phase is absent" if reach is None else ""
    known = reach if reach is not None and not flat else None
    percolates = None if flat else bool(known and known.both > 0)
    values = (
        ("percolating_fraction", PERCOLATING, known.both if known else None),
        ("isolated_fraction", ISOLATED, known.none if known else None),
    )
    return [
        Descriptor(
            name=name,
            phases=(phase.name,),
            axis=axis,
            value=value,
            unit="1",
            definition=definition,
            connectivity=6,
            percolates=percolates,
            note=note,
        )
        for name, definition, value in values
    ]
