"""The metrics page of the report."""

from statistics import median

from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_metrics import pictures, tables, words
from porelay_metrics.comparison import flat
from porelay_schemas.descriptors import Curve, Curves, Descriptors
from porelay_schemas.section import Block, Section, Text

TITLE = "Metrics"
MORE = "All numbers, with their numerical errors and notes, are in `descriptors.csv` and `descriptors.json`."


def section(
    document: Descriptors, curves: Curves, real: Volume | None, generated: list[Volume], bench: Bench
) -> Section:
    """Draw the pictures and return the page."""
    blocks: list[Block | None] = [Text(text=note, tone="warning") for note in document.skipped]
    if notes := _notes(document):
        blocks.append(Text(text="\n\n".join(notes), tone="note"))
    blocks += pictures.slices(document.phases, real, generated, bench)
    if any(number.name == "volume_fraction" for number in tables.reference(document).descriptors):
        blocks.append(pictures.fractions(document, bench))
    blocks += [tables.directions(document), tables.scalars(document), Text(text=MORE)]
    blocks.append(pictures.correlations(document.phases, curves, bench))
    blocks.append(pictures.chords(document.phases, curves, bench))
    blocks += [tables.distances(document), tables.definitions(document, _curve_definitions(curves))]
    return Section(title=TITLE, headline=headline(document), blocks=tuple(block for block in blocks if block))


def _notes(document: Descriptors) -> list[str]:
    """Return how far to trust the comparison, and which phases percolate now and then."""
    if not document.comparison:
        return []
    partly = [
        f"{one.phases[0].replace('_', ' ')} along {one.axis} {one.note.partition(';')[0]}"
        for one in document.comparison.differences
        if one.name == "effective_diffusivity" and one.note.startswith("percolates in")
    ]
    return [*document.comparison.notes, *([f"Not everywhere: {'; '.join(partly)}."] if partly else [])]


def _curve_definitions(curves: Curves) -> list[tuple[str, str]]:
    measured: tuple[Curve, ...] = curves.real or (curves.generated[0] if curves.generated else ())
    return list(dict.fromkeys((words.title(curve.name), curve.definition.text) for curve in measured))


def headline(document: Descriptors) -> str:
    """Return the one sentence: how well generated matches real, or what the one volume is like."""
    if not document.comparison:
        return _alone(document)
    names = {"volume_fraction": "volume fraction", "effective_diffusivity": "effective diffusivity"}
    if document.real and flat(document.real):
        del names["effective_diffusivity"]
    told = [
        f"{what} by {100 * middle:.1f} %"
        for name, what in names.items()
        if (middle := _middle(document, name)) is not None
    ]
    count = len(document.generated)
    volumes = "The generated volume differs" if count == 1 else f"The mean of {count} generated volumes differs"
    return (
        f"{volumes} from the real one in {' and in '.join(told)} (medians)."
        if told
        else "Real and generated, measured."
    )


def _middle(document: Descriptors, name: str) -> float | None:
    found = document.comparison.differences if document.comparison else ()
    values = [abs(one.relative) for one in found if one.name == name and one.relative is not None]
    return median(values) if values else None


def _alone(document: Descriptors) -> str:
    numbers = tables.reference(document).descriptors
    told = [
        f"{number.phases[0].replace('_', ' ')} {number.value:.3f}"
        for number in numbers
        if number.name == "volume_fraction" and number.value is not None
    ]
    ways = [
        f"{number.phases[0].replace('_', ' ')} {number.axis}"
        for number in numbers
        if number.name == "percolating_fraction" and number.percolates is False
    ]
    text = f"Volume fractions: {', '.join(told)}." if told else "Measured."
    return f"{text} Does not percolate: {', '.join(ways)}." if ways else text
