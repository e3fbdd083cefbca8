"""Descriptors as a table for spreadsheets."""

import csv
from pathlib import Path

from porelay_schemas.descriptors import Descriptor, Descriptors

HEADER = (
    "volume",
    "name",
    "phases",
    "axis",
    "value",
    "unit",
    "percolates",
    "numerical_error",
    "connectivity",
    "boundary",
    "definition",
    "meaning",
    "note",
)


def write_csv(path: Path, document: Descriptors) -> None:
    """Write one row a number: first those of the real volume, then of generated_1, generated_2, ..."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        if document.real:
            writer.writerows(_row("real", number) for number in document.real.descriptors)
        for index, volume in enumerate(document.generated, 1):
            writer.writerows(_row(f"generated_{index}", number) for number in volume.descriptors)


def _row(volume: str, number: Descriptor) -> tuple[object, ...]:
    return (
        volume,
        number.name,
        " ".join(number.phases),
        number.axis,
        number.value,
        number.unit,
        number.percolates,
        number.numerical_error,
        number.connectivity,
        number.boundary,
        number.definition.id,
        number.definition.text,
        number.note,
    )
