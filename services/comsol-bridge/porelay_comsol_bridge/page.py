"""The stage's page of the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from porelay_comsol_bridge.readme import NOT_SIMULATED, UNVERIFIED
from porelay_comsol_bridge.recipe import Recipe
from porelay_schemas.meshes import MeshDescription
from porelay_schemas.section import Block, Cell, Figure, Section, Table, Text

_READ_BYTES = 20_000


@dataclass(frozen=True)
class Told:
    """What happened: the package's files by name, whether COMSOL ran, in which version, or why it did not."""

    folder: Path
    purposes: Mapping[str, str]
    simulated: bool
    comsol: str
    about_effective: str


def section(recipe: Recipe, mesh: MeshDescription, told: Told, figure: Figure) -> Section:
    """Return the page; the first thing it says is whether anything was simulated."""
    return Section(
        title="COMSOL",
        headline=_headline(recipe, told),
        blocks=(
            _status(recipe, told),
            *_results(recipe, told),
            *(Text(text=note, tone="note") for note in (*recipe.notes, told.about_effective)),
            _files(told),
            figure,
            _parameters(recipe),
            _selections(mesh),
            Text(text=UNVERIFIED, tone="plain" if told.simulated else "note"),
        ),
    )


def _headline(recipe: Recipe, told: Told) -> str:
    if told.simulated:
        return f"Simulated with COMSOL {told.comsol}; the package holds the model's inputs and scripts."
    return "The COMSOL model package is complete; nothing was simulated."


def _status(recipe: Recipe, told: Told) -> Text:
    if told.simulated:
        return Text(text=f"Built and solved with COMSOL {told.comsol}. The solved model is electrode.mph.")
    needs = " and ".join(recipe.products)
    return Text(
        text=f"{NOT_SIMULATED} Reason: {told.comsol}. Unpack electrode_comsol.zip where {needs} is licensed, and "
        "follow its README.txt; or run the plan again on such a machine with `run: always`.",
        tone="warning",
    )


def _results(recipe: Recipe, told: Told) -> tuple[Block, ...]:
    if not told.simulated:
        return ()
    rows: list[tuple[Cell, ...]] = []
    for outcome in recipe.outcomes:
        path = told.folder / outcome.file
        rows.append((outcome.file, outcome.about, _values(path) if path.stat().st_size < _READ_BYTES else "see file"))
    return (Table(caption="Results of COMSOL", header=("file", "what", "values"), rows=tuple(rows)),)


def _values(path: Path) -> str:
    """Return the last line of a results file, which holds the numbers."""
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split()) if lines else ""


def _files(told: Told) -> Table:
    rows = tuple((name, (told.folder / name).stat().st_size / 1e6, text) for name, text in told.purposes.items())
    return Table(caption="The package, electrode_comsol.zip", header=("file", "size / MB", "what for"), rows=rows)


def _parameters(recipe: Recipe) -> Table:
    rows = tuple((p.name, p.expression, p.about, p.source) for p in recipe.parameters)
    return Table(caption="Parameters of the model", header=("name", "value", "what", "source"), rows=rows)


def _selections(mesh: MeshDescription) -> Table:
    rows = tuple(
        (s.name, "domain" if s.dimension == 3 else "boundary", s.entities, s.elements, s.measure)
        for s in mesh.selections
    )
    header = ("selection", "of", "entities", "elements", "µm³ or µm²")
    return Table(caption="Named selections that come with the mesh", header=header, rows=rows)
