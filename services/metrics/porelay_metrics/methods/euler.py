"""Euler numbers."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import StreamingParams
from porelay_schemas.base import VoxelUm
from porelay_schemas.descriptors import Definition, Descriptor
from porelay_schemas.plan import Phase

NUMBER = Definition(id="euler_number.v1", text="pieces - tunnels + cavities of the phase as it lies in the volume")
DENSITY = Definition(
    id="euler_density.v1",
    text="Euler number per volume from the corners inside; depends on the voxel size: compare at equal ones",
)


class EulerParams(StreamingParams):
    """Parameters of `euler`."""

    connectivity: Literal[6, 26] = Field(
        default=6, description="neighbours that join voxels of the phase; those of its complement join by 26 or 6"
    )


def euler(labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: EulerParams) -> list[Descriptor]:
    """Euler number of each phase, and its density per volume.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). Raises BadInput
    where a label is no phase.
    """
    from porelay_metrics.corners import cells, count_ways, euler_number

    labels = Labels.of(labels, phases)
    inside, border = count_ways(labels)
    found = []
    for index, phase in enumerate(phases):
        number: float | None = euler_number(inside[index] + border[index], params.connectivity)
        flat = min(labels.shape) < 2
        density = None if flat else euler_number(inside[index], params.connectivity) / cells(labels.shape, voxel_um)
        note = "needs at least 2 voxels along each axis" if flat else ""
        if not (inside[index].sum() + border[index].sum()):
            number, density, note = None, None, "the phase is absent"
        rows = (
            ("euler_number", "1", NUMBER, number, "beyond the volume lies nothing", "" if number is not None else note),
            ("euler_density", "1/um^3", DENSITY, density, "only inside the volume", note),
        )
        for name, unit, definition, value, boundary, why in rows:
            found.append(
                Descriptor(
                    name=name,
                    phases=(phase.name,),
                    value=value,
                    unit=unit,
                    definition=definition,
                    connectivity=params.connectivity,
                    boundary=boundary,
                    note=why,
                )
            )
    return found
