"""Tables of the report: like those of a paper, real against generated."""

from collections.abc import Sequence

from porelay_metrics import words
from porelay_metrics.comparison import averaged
from porelay_schemas.descriptors import Descriptor, Descriptors, Measured
from porelay_schemas.section import Cell, Table

DIRECTED = ("percolating_fraction", "effective_diffusivity", "tortuosity_factor")
LEFT_OUT = ("isolated_fraction", "tortuosity_factor_percolating", "tpb_edge_length_density")
"""Found in descriptors.csv; here they would hide the others."""
Row = tuple[Cell, ...]


def scalars(document: Descriptors) -> Table:
    """Return the numbers that are not shown by direction, real against generated."""
    rows = [
        _row(document, number)
        for number in reference(document).descriptors
        if number.name not in (*DIRECTED, *LEFT_OUT)
    ]
    header = ("quantity", "of", "unit", *_columns(document))
    return Table(caption="Descriptors", header=header, rows=tuple(rows))


def reference(document: Descriptors) -> Measured:
    """Return the volume that names the rows: the real one, else the first generated one."""
    return document.real or document.generated[0]


def _columns(document: Descriptors) -> tuple[str, ...]:
    columns: tuple[str, ...] = ("real",) if document.real else ()
    if document.generated:
        columns += ("generated", "spread")
    return (*columns, "difference / %") if document.real and document.generated else columns


def _row(document: Descriptors, number: Descriptor) -> Row:
    cells: list[Cell] = [words.title(number.name), words.subject(number), words.unit(number.unit)]
    if document.real:
        cells.append(number.value)
    if document.generated:
        mean, spread, _ = generated(document, number)
        cells += [mean, spread]
        if document.real:
            cells.append(_percent(number.value, mean))
    return tuple(cells)


def generated(document: Descriptors, number: Descriptor) -> tuple[float | None, float | None, int]:
    """Return mean, spread and number of the same number of the generated volumes."""
    return averaged([found for volume in document.generated if (found := volume.find(*number.key)) is not None])


def _percent(real: float | None, mean: float | None) -> float | None:
    return 100 * (mean - real) / abs(real) if real and mean is not None else None


def directions(document: Descriptors) -> Table | None:
    """Return percolation and transport of each phase along each axis, None where neither was measured."""
    numbers = {number.key: number for number in reference(document).descriptors if number.name in DIRECTED}
    places = list(dict.fromkeys((phases, axis) for _, phases, axis in numbers))
    if not places:
        return None
    sides = [side for side, there in (("real", document.real), ("generated", document.generated)) if there]
    header = ["phase", "axis", *(f"{_short(name)}, {side}" for name in DIRECTED for side in sides), "τ, Bruggeman"]
    rows = []
    for phases, axis in places:
        cells: list[Cell] = [phases[0].replace("_", " "), axis]
        for name in DIRECTED:
            number = numbers.get((name, phases, axis))
            cells += [_directed(document, number, side) if number else None for side in sides]
        bruggeman = reference(document).find("bruggeman_tortuosity", phases)
        rows.append((*cells, bruggeman.value if bruggeman else None))
    return Table(caption="Percolation and transport by direction", header=tuple(header), rows=tuple(rows))


def _directed(document: Descriptors, number: Descriptor, side: str) -> Cell:
    if side == "real":
        return "does not percolate" if _blocked([number]) else number.value
    found = [same for volume in document.generated if (same := volume.find(*number.key)) is not None]
    return "does not percolate" if _blocked(found) else averaged(found)[0]


def _blocked(found: Sequence[Descriptor]) -> bool:
    return bool(found) and found[0].name == "tortuosity_factor" and all(number.percolates is False for number in found)


def _short(name: str) -> str:
    return {"percolating_fraction": "percolating", "tortuosity_factor": "τ"}.get(name, words.title(name))


def distances(document: Descriptors) -> Table | None:
    """Return how far the curves lie apart, None where nothing is compared."""
    found = document.comparison.distances if document.comparison else ()
    if not found:
        return None
    rows = tuple(
        (
            words.title(one.name),
            words.title(one.curve),
            " | ".join(name.replace("_", " ") for name in one.phases),
            one.axis or "all directions",
            words.unit(one.unit),
            one.mean,
        )
        for one in found
    )
    header = ("distance", "of", "phase", "axis", "unit", "mean over generated")
    return Table(caption="Distances between the curves of real and generated volumes", header=header, rows=rows)


def definitions(document: Descriptors, more: Sequence[tuple[str, str]]) -> Table:
    """Return each definition once: what, id, meaning, borders."""
    rows = dict.fromkeys(
        (words.title(number.name), number.definition.id, number.definition.text, number.boundary or None)
        for number in reference(document).descriptors
    )
    found: list[Row] = [*rows, *((name, None, text, None) for name, text in more)]
    return Table(caption="Definitions", header=("quantity", "id", "meaning", "borders"), rows=tuple(found))
