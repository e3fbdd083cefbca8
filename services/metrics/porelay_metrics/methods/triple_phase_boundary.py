"""Triple-phase boundaries."""

from collections.abc import Sequence
from itertools import combinations

from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import StreamingParams
from porelay_schemas.base import VoxelUm
from porelay_schemas.descriptors import Definition, Descriptor
from porelay_schemas.plan import Phase

LENGTH = Definition(
    id="tpb_l1.v1",
    text="length of voxel edges where three or more phases meet / volume / 1.5 (staircase, all directions alike)",
)
EDGES = Definition(
    id="tpb_edges.v1", text="length of the voxel edges at which three or more phases meet / volume; 1.5 times too long"
)
BOUNDARY = "only inside the volume: its faces and edges count for nothing"
TWO_PHASES = "needs three phases"
FLAT = "needs at least 2 voxels along each axis"


class TriplePhaseBoundaryParams(StreamingParams):
    """Nothing to choose."""


def triple_phase_boundary(
    labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: TriplePhaseBoundaryParams
) -> list[Descriptor]:
    """Length of the lines where three or more phases meet, per volume: in all, and of each triple of more than three.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). Where four phases
    meet the edge belongs to each of its triples, and once to the total. Raises BadInput where a label is no phase.
    """
    from porelay_metrics.triple_line import STAIRCASE, count_edges, densities

    labels = Labels.of(labels, phases)
    names = [phase.name for phase in phases]
    if len(names) < 3 or min(labels.shape) < 2:
        note = TWO_PHASES if len(names) < 3 else FLAT
        return _pair((), None, STAIRCASE, note)
    whole, each = densities(count_edges(labels), labels.shape, voxel_um)
    found = _pair((), whole, STAIRCASE)
    for triple in combinations(range(len(names)), 3) if len(names) > 3 else ():
        found += _pair(tuple(names[index] for index in triple), float(each[triple]), STAIRCASE)
    return found


def _pair(phases: tuple[str, ...], edges: float | None, staircase: float, note: str = "") -> list[Descriptor]:
    length = None if edges is None else edges / staircase
    rows = (("tpb_length_density", length, LENGTH), ("tpb_edge_length_density", edges, EDGES))
    return [
        Descriptor(
            name=name, phases=phases, value=value, unit="1/um^2", definition=definition, boundary=BOUNDARY, note=note
        )
        for name, value, definition in rows
    ]
