"""Areas of the phases and of the interfaces between them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import StreamingParams
from porelay_schemas.base import VoxelUm
from porelay_schemas.descriptors import Definition, Descriptor
from porelay_schemas.plan import Phase

INTERFACE = Definition(
    id="interface_crofton13.v1",
    text="area between two phases / volume: unlike voxel pairs along 13 directions at 1 and 2 steps, extrapolated to 0",
)
SURFACE = Definition(
    id="surface_crofton13.v1", text="sum of the phase's interface areas / volume (interface_crofton13.v1)"
)
TRIANGLES = Definition(
    id="surface_marching_cubes.v1",
    text="marching-cubes area of the binary phase at level 1/2, per volume; 3 to 9 % too large on smooth surfaces",
)
BOUNDARY = "only inside the volume: its faces count for nothing, nothing wraps around"
SMALLEST = 3


class SurfaceAreaParams(StreamingParams):
    """Nothing to choose."""


def surface_area(
    labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: SurfaceAreaParams
) -> list[Descriptor]:
    """Interface area of each pair of phases and specific surface area of each phase, per volume.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). Raises BadInput
    where a label is no phase.
    """
    labels = Labels.of(labels, phases)
    names = [phase.name for phase in phases]
    if min(labels.shape) < SMALLEST:
        return _none(names, f"needs at least {SMALLEST} voxels along each axis")
    from porelay_metrics.corners import cells, count_ways, marching_cubes_area
    from porelay_metrics.crofton import areas, count_pairs

    between = areas(count_pairs(labels), labels.shape, voxel_um)
    ways = count_ways(labels)
    present = ways[:, :, 1:].sum((0, 2)) > 0
    triangles = [marching_cubes_area(inside, voxel_um) / cells(labels.shape, voxel_um) for inside in ways[0]]
    return _found(names, between, triangles, present)


def _found(
    names: Sequence[str], between: NDArray[np.float64], triangles: Sequence[float], present: NDArray[np.bool_]
) -> list[Descriptor]:
    found = []
    for i, j in combinations(range(len(names)), 2):
        absent = [names[k] for k in (i, j) if not present[k]]
        found.append(_area("interface_area_density", (names[i], names[j]), between[i, j], INTERFACE, absent))
    for i, name in enumerate(names):
        absent = [] if present[i] else [name]
        found.append(_area("specific_surface_area", (name,), between[i].sum() - between[i, i], SURFACE, absent))
        found.append(_area("specific_surface_area_marching_cubes", (name,), triangles[i], TRIANGLES, absent))
    return found


def _none(names: Sequence[str], note: str) -> list[Descriptor]:
    nothing = np.zeros((len(names), len(names)))
    found = _found(names, nothing, nothing[0].tolist(), np.ones(len(names), bool))
    return [descriptor.model_copy(update={"value": None, "note": note}) for descriptor in found]


def _area(
    name: str, phases: tuple[str, ...], value: float, definition: Definition, absent: Sequence[str]
) -> Descriptor:
    return Descriptor(
        name=name,
        phases=phases,
        value=None if absent else float(value),
        unit="1/um",
        definition=definition,
        boundary=BOUNDARY,
        note=f"{' and '.join(absent)}: the phase is absent" if absent else "",
    )
