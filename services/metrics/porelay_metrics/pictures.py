"""Pictures of the report: volume fractions, S2, chords, slices; real and generated side by side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_metrics.tables import generated, reference
from porelay_schemas.descriptors import Curve, Curves, Descriptors
from porelay_schemas.plan import Phase
from porelay_schemas.section import Figure, Gallery

PANELS = 3
BINS = 48


def fractions(document: Descriptors, bench: Bench) -> Figure:
    """Draw the volume fraction of each phase."""
    numbers = [number for number in reference(document).descriptors if number.name == "volume_fraction"]
    groups: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    if document.real:
        groups["real"] = [number.value or 0.0 for number in numbers]
    if document.generated:
        found = [generated(document, number) for number in numbers]
        groups["generated"] = [mean or 0.0 for mean, _, _ in found]
        if len(document.generated) > 1:
            errors["generated"] = [spread or 0.0 for _, spread, _ in found]
    labels = [number.phases[0].replace("_", " ") for number in numbers]
    figures.bars_svg(bench.path("fractions.svg"), labels, groups, ylabel="volume fraction", errors=errors or None)
    whiskers = " Whiskers: sample standard deviation." if errors else ""
    return Figure(file="fractions.svg", caption=f"Volume fraction of each phase.{whiskers}")


def correlations(phases: Sequence[Phase], curves: Curves, bench: Bench) -> Gallery | None:
    """Draw S2 of each phase, radially averaged, and along the axes of the real volume."""
    made = [figure for phase in phases if (figure := _correlation(phase.name, curves, bench)) is not None]
    return Gallery(figures=tuple(made)) if made else None


def _correlation(phase: str, curves: Curves, bench: Bench) -> Figure | None:
    real = _pick(curves.real, "two_point", phase)
    others = [curve for found in curves.generated for curve in _pick(found, "two_point", phase) if curve.axis is None]
    lines = [figures.Curve(_along(curve), curve.x, curve.y, style="-" if curve.axis is None else ":") for curve in real]
    if others:
        lines.insert(1 if real else 0, _band(others))
    if not lines:
        return None
    fraction = np.asarray(lines[0].y, float)[0]
    file = f"two_point_{phase}.svg"
    figures.curves_svg(
        bench.path(file),
        lines,
        xlabel="lag r / µm",
        ylabel="S₂(r)",
        title=phase.replace("_", " "),
        hlines=[(float(fraction**2), "φ²")],
    )
    return Figure(
        file=file, caption=f"S₂ of {phase.replace('_', ' ')}: from φ at r = 0 to φ² where nothing is correlated."
    )


def _along(curve: Curve) -> str:
    return "real" if curve.axis is None else f"real, {curve.axis}"


def _band(curves: Sequence[Curve]) -> figures.Curve:
    """Return the mean of curves, and between which values they lie."""
    x = np.asarray(min((curve.x for curve in curves), key=lambda lags: lags[-1]))
    values = np.array([np.interp(x, curve.x, curve.y) for curve in curves])
    band = (values.min(0), values.max(0)) if len(curves) > 1 else None
    return figures.Curve("generated", x, values.mean(0), band=band, style="--")


def chords(phases: Sequence[Phase], curves: Curves, bench: Bench) -> Gallery | None:
    """Draw the chord-length distribution of each phase, the axes averaged."""
    made = [figure for phase in phases if (figure := _chord(phase.name, curves, bench)) is not None]
    return Gallery(figures=tuple(made)) if made else None


def _chord(phase: str, curves: Curves, bench: Bench) -> Figure | None:
    sides = {"real": [_pick(curves.real, "chord_length", phase)]}
    sides["generated"] = [_pick(found, "chord_length", phase) for found in curves.generated]
    known = {side: [found for found in volumes if found] for side, volumes in sides.items()}
    every = [curve for volumes in known.values() for found in volumes for curve in found]
    if not every:
        return None
    edges = _edges(every)
    lines = []
    for side, volumes in known.items():
        if volumes:
            heights = np.array([_heights(found, edges) for found in volumes])
            band = (heights.min(0), heights.max(0)) if len(volumes) > 1 else None
            middle = (edges[1:] + edges[:-1]) / 2
            lines.append(figures.Curve(side, middle, heights.mean(0), band=band, style="-" if side == "real" else "--"))
    file = f"chords_{phase}.svg"
    figures.curves_svg(
        bench.path(file), lines, xlabel="chord length / µm", ylabel="share per µm", title=phase.replace("_", " ")
    )
    return Figure(file=file, caption=f"Chord lengths of {phase.replace('_', ' ')}, number-weighted, mean of the axes.")


def _edges(every: Sequence[Curve]) -> NDArray[np.float64]:
    """Return bins a whole number of the largest voxel edge wide, so that none stays empty, for 99 % of the chords."""
    edge = max(curve.x[0] for curve in every)
    last = max(float(np.interp(0.99, np.cumsum(curve.y), curve.x)) for curve in every)
    width = edge * max(1, round(last / edge / BINS))
    return np.arange(edge / 2, last + width, width)


def _heights(found: Sequence[Curve], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    heights = [np.histogram(curve.x, edges, weights=curve.y)[0] for curve in found]
    return np.asarray(np.mean(heights, axis=0) / np.diff(edges))


def _pick(curves: Sequence[Curve], name: str, phase: str) -> list[Curve]:
    return [curve for curve in curves if curve.name == name and curve.phases == (phase,)]


def slices(phases: Sequence[Phase], real: Volume | None, others: Sequence[Volume], bench: Bench) -> list[Figure]:
    """Draw middle slices across z and x of the real and the first generated volumes, cut to one size.

    A single image has no slice across x.
    """
    volumes = [("real", real)] if real is not None else []
    volumes += [(f"generated {index + 1}", other) for index, other in enumerate(others[: PANELS - len(volumes) + 1])]
    made = []
    for axis, name in ((0, "z"), (2, "x")):
        images = [(title, _middle(volume, axis)) for title, volume in volumes]
        rows, columns = (min(image.shape[at] for _, image in images) for at in (0, 1))
        if 1 in (rows, columns):
            continue
        panels = [figures.Panel(title, _cut(image, rows, columns), phases=phases) for title, image in images]
        edges = [edge for other, edge in enumerate(volumes[0][1].voxel_um) if other != axis]
        file = f"slices_{name}.png"
        figures.panels_png(bench.path(file), panels, voxel_um=(edges[0], edges[1]))
        what = "Middle slices across " + name + (", cut to the size of the smallest" if len(images) > 1 else "")
        made.append(Figure(file=file, caption=f"{what}.", wide=True))
    return made


def _middle(volume: Volume, axis: int) -> NDArray[np.uint8]:
    box = [slice(None)] * 3
    box[axis] = slice(volume.shape[axis] // 2, volume.shape[axis] // 2 + 1)
    return np.asarray(volume[tuple(box)].squeeze(axis))


def _cut(image: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    row, column = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[row : row + rows, column : column + columns]
