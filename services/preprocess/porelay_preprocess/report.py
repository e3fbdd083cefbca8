"""The stage's page of the report: the volume before and after, and what each filter has to tell."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_preprocess.chain import Step
from porelay_preprocess.noise import noise_of
from porelay_schemas.filters import Facts, Series
from porelay_schemas.frames import Source
from porelay_schemas.plan import Phase
from porelay_schemas.planes import PlaneAxis, words
from porelay_schemas.section import Block, Cell, Figure, Gallery, Section, Table, Text


def section(bench: Bench, before: Volume, after: Volume, steps: Sequence[Step], phases: Sequence[Phase]) -> Section:
    """Return the page, drawing its pictures on the way."""
    if not steps:
        return Section(title="Preprocessing", headline="The plan has no filter here: the volume is as it was dropped.")
    blocks: list[Block] = [_pictures(bench, before, after, phases), _steps(steps)]
    for number, step in enumerate(steps, 1):
        blocks += _told(bench, number, step)
    names = ", ".join(step.name for step in steps)
    return Section(title="Preprocessing", headline=f"{names}: {_outcome(before, after)}", blocks=tuple(blocks))


def plane(
    bench: Bench, axis: PlaneAxis, volumes: tuple[Volume, Volume], steps: Sequence[Step], phases: Sequence[Phase]
) -> list[Block]:
    """Return what there is to tell of a plane (volume before, volume after), drawing its pictures on the way."""
    if not steps:
        return []
    names = phases if volumes[0].kind == "labels" else None
    named = zip(("before", "after"), volumes, strict=True)
    panels = [figures.plane_panel(when, volume, axis, names) for when, volume in named]
    figures.panels_png(bench.path(f"plane_{axis}.png"), panels, voxel_um=volumes[1].voxel_um[1:])
    caption = f"{words(axis).capitalize()} before and after: {_outcome(*volumes)}"
    blocks: list[Block] = [Figure(file=f"plane_{axis}.png", caption=caption, wide=True)]
    for number, step in enumerate(steps, 1):
        blocks += _told(bench, number, step, axis)
    return blocks


def _outcome(before: Volume, after: Volume) -> str:
    size = " x ".join(str(length) for length in after.shape)
    if before.kind == "labels" or after.dtype != before.dtype:
        return f"{size} voxels of {after.dtype.name}."
    return f"noise {noise_of(before).sigma:.3g} to {noise_of(after).sigma:.3g} grey levels, {size} voxels."


def _pictures(bench: Bench, before: Volume, after: Volume, phases: Sequence[Phase]) -> Gallery:
    names = phases if before.kind == "labels" else None
    alike = before.dtype == after.dtype and names is None
    drawn = []
    for name, volume in (("before", before), ("after", after)):
        window = _window(before if alike else volume) if names is None else None
        path = bench.path(f"{name}.png")
        figures.ortho_png(path, volume, voxel_um=volume.voxel_um, phases=names, window=window)
        drawn.append(Figure(file=f"{name}.png", caption=f"Orthogonal slices {name} preprocessing"))
    return Gallery(figures=tuple(drawn))


def _window(volume: Volume) -> tuple[float, float]:
    """Return the grey levels drawn as black and white, from three slices."""
    depth = volume.shape[0]
    shown = np.concatenate([volume[z : z + 1].ravel() for z in {0, depth // 2, depth - 1}])
    low, high = np.percentile(shown, [0.5, 99.5])
    return float(low), float(max(high, low + 1e-6))


def _steps(steps: Sequence[Step]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (number, step.name, _params(step), _size(step.after), _edges(step.after), str(step.after.dtype))
        for number, step in enumerate(steps, 1)
    ]
    header = ("step", "filter", "parameters", "shape z, y, x", "voxel z, y, x, um", "type")
    return Table(caption="Filters in their order", header=header, rows=tuple(rows))


def _params(step: Step) -> str:
    return ", ".join(f"{name} = {_text(value)}" for name, value in step.params if value is not None) or "none"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_text(part) for part in value) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _size(volume: Source) -> str:
    return " x ".join(map(str, volume.shape))


def _edges(volume: Source) -> str:
    return " x ".join(f"{edge:.4g}" for edge in volume.voxel_um)


def _told(bench: Bench, number: int, step: Step, axis: PlaneAxis | None = None) -> list[Block]:
    if step.filter.tell is None:
        return []
    facts = step.filter.tell(step.before, step.after, step.model, step.params)
    folder, title = (f"plane_{axis}/", f"Plane {axis}, step") if axis else ("", "Step")
    file, caption = f"{folder}{number:02}-{step.name}", f"{title} {number}, {step.name}"
    if step.model is not None:
        bench.write_json(f"{file}.json", step.model.model_dump(mode="json"))
    notes = [Text(text=note) for note in facts.notes]
    return [*_numbers(facts, caption), *_curves(bench, facts, file, caption), *notes]


def _numbers(facts: Facts, caption: str) -> list[Block]:
    rows = tuple(facts.numbers.items())
    return [Table(caption=caption, header=("", "value"), rows=rows)] if rows else []


def _curves(bench: Bench, facts: Facts, file: str, caption: str) -> list[Block]:
    drawn: list[Block] = []
    for series in facts.series:
        if all(len(x) < 2 for x, _ in series.curves.values()):
            continue  # of a single image there is no course along the stack
        name = f"{file}-{_slug(series.title)}.svg"
        figures.curves_svg(bench.path(name), _lines(series), xlabel=series.xlabel, ylabel=series.ylabel)
        drawn.append(Figure(file=name, caption=f"{caption}: {series.title.lower()}"))
    return drawn


def _lines(series: Series) -> list[figures.Curve]:
    return [figures.Curve(label, _array(x), _array(y)) for label, (x, y) in series.curves.items()]


def _array(values: list[float]) -> NDArray[np.float64]:
    return np.array(values, float)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
