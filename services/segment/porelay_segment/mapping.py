"""Values of a volume that is segmented already, and the phases they stand for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.frames import Source
from porelay_schemas.plan import Phase
from porelay_segment.boxes import pieces

MOST_SHOWN = 12


def value_counts(source: Source, what: str) -> dict[int, int]:
    """Return how many voxels have each value; raise BadInput where values are not whole numbers of 16 bits at most."""
    if np.dtype(source.dtype) not in (np.uint8, np.uint16):
        raise BadInput(
            f"{what}: voxels are {source.dtype}, wanted uint8 or uint16 values that stand for phases. "
            "Save the labels as an 8 or 16 bit TIFF."
        )
    counts = np.zeros(np.iinfo(source.dtype).max + 1, np.int64)
    for piece in pieces(source):
        counts += np.bincount(piece.ravel(), minlength=counts.size)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def by_rank(counts: Mapping[int, int], phases: Sequence[Phase], what: str) -> dict[int, int]:
    """Return value -> label: the values themselves where they are labels, else the n-th value is the n-th phase.

    Raises BadInput where there are not as many values as phases.
    """
    names = ", ".join(phase.name for phase in phases)
    if set(counts) <= set(range(len(phases))):
        missing = [phase.name for label, phase in enumerate(phases) if label not in counts]
        if missing:
            raise absent(missing, counts, what)
        return {value: value for value in counts}
    if len(counts) != len(phases):
        raise BadInput(
            f"{what}: the volume holds {len(counts)} values ({listed(counts)}), the plan has {len(phases)} phases "
            f"({names}). Say which value is which with labels.values, or correct the phases of the plan."
        )
    return {value: label for label, value in enumerate(sorted(counts))}


def by_name(
    values: Mapping[str, Sequence[int]], counts: Mapping[int, int], phases: Sequence[Phase], what: str
) -> dict[int, int]:
    """Return value -> label as `values` (phase -> values) has it.

    Raises BadInput for an unknown phase, a value given twice, a value of the volume left out, a phase without voxels.
    """
    names = [phase.name for phase in phases]
    table: dict[int, int] = {}
    for name, numbers in values.items():
        if name not in names:
            raise BadInput(f"{what}.values: no phase of the plan is called {name!r}. {nearest(name, names)}")
        for number in numbers:
            if number in table:
                raise BadInput(
                    f"{what}.values: value {number} stands for {names[table[number]]!r} and for {name!r}, wanted one "
                    "phase. Take it out of one of them."
                )
            table[number] = names.index(name)
    forgotten = {value: count for value, count in counts.items() if value not in table}
    if forgotten:
        raise BadInput(
            f"{what}.values: the volume holds values that no phase has: {listed(forgotten)}. "
            f"Add each to one of {', '.join(names)}."
        )
    missing = [name for label, name in enumerate(names) if label not in {table[value] for value in counts}]
    if missing:
        raise absent(missing, counts, what)
    return table


def absent(missing: Sequence[str], counts: Mapping[int, int], what: str) -> BadInput:
    """Return the error of a phase that no voxel has."""
    return BadInput(
        f"{what}: a phase is missing: no voxel is {' or '.join(missing)}; the volume holds values {listed(counts)}. "
        f"Take {' and '.join(missing)} out of the plan's phases, or correct labels.values."
    )


def listed(counts: Mapping[int, int]) -> str:
    """Return values and their voxels in words, the commonest first."""
    common = sorted(counts.items(), key=lambda item: -item[1])
    text = ", ".join(f"{value} ({count:,} voxels)" for value, count in common[:MOST_SHOWN])
    return text + (f" and {len(common) - MOST_SHOWN} more" if len(common) > MOST_SHOWN else "")


def translated(values: NDArray[Any], table: Mapping[int, int]) -> NDArray[np.uint8]:
    """Return the labels of values; all values are in the table."""
    labels = np.zeros(np.iinfo(values.dtype).max + 1, np.uint8)
    for value, label in table.items():
        if value < labels.size:
            labels[value] = label
    return np.asarray(labels[values])
