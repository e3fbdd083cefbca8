"""A volume that is segmented already."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Params
from porelay_schemas.frames import Source
from porelay_schemas.plan import Phase
from porelay_schemas.segmenters import Model, segmenter, whole
from porelay_segment import mapping

Value = Annotated[int, Field(ge=0, le=65535)]


class LabelsParams(Params):
    """Which value stands for which phase."""

    values: dict[str, tuple[Value, ...]] = Field(
        default={},
        description="phase -> values that stand for it; default: the smallest value is the first phase of the plan",
    )


class Table(Model):
    """Label of each value."""

    table: dict[int, int]


def find_table(source: Source, phases: Sequence[Phase], params: LabelsParams) -> Table:
    """Count the values and assign them; raise BadInput where a value has no phase or a phase no voxel."""
    counts = mapping.value_counts(source, "labels")
    if params.values:
        table = mapping.by_name(params.values, counts, phases, "labels")
    else:
        table = mapping.by_rank(counts, phases, "labels")
    words = ", ".join(f"{value} is {phases[table[value]].name}" for value in sorted(counts))
    return Table(table=table, notes=(f"Values of the dropped volume: {words}.",))


def assign(values: NDArray[Any], model: Table, params: LabelsParams) -> NDArray[np.uint8]:
    """Translate a block."""
    return mapping.translated(values, model.table)


@segmenter(fit=find_table, apply=assign, takes="labels")
def labels(values: NDArray[Any], phases: Sequence[Phase], params: LabelsParams) -> NDArray[np.uint8]:
    """Take a volume that is segmented already: each of its values becomes a phase.

    `values` (z, y, x) uint8 or uint16; labels uint8 of the same shape. Raises BadInput where a value has no phase, or
    a phase no voxel.
    """
    return whole(labels, values, phases, params)
