"""Distributions: of samples, and of what is counted already."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porelay_kit.figures import charts, look
from porelay_schemas.errors import BadInput


def histogram_svg(
    path: Path,
    groups: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    bins: int = 60,
    title: str = "",
    vlines: Mapping[str, float] | None = None,
    density: bool = False,
) -> None:
    """Draw the distributions of samples over common bins; `vlines` = label -> value of x, marked by dashed lines.

    Samples that are not finite are left out. Integers get bins of whole width. Where the last 0.1 % of the samples
    would take more than half of the axis, the axis ends before them and its label says so. `density`: each
    distribution has area 1.
    """
    samples = {name: _finite(values) for name, values in groups.items()}
    edges, cut = _edges(samples, bins)
    with look.drawing():
        figure, axes = charts.chart()
        for index, (name, values) in enumerate(samples.items()):
            heights = np.histogram(values, edges)[0].astype(float)
            if density and values.size:
                heights /= values.size * np.diff(edges)
            _steps(axes, heights, edges, name, look.PALETTE[index % len(look.PALETTE)], filled=len(samples) <= 4)
        if not any(values.size for values in samples.values()):
            charts.empty(axes)
        _finish(axes, vlines, xlabel + (" (the last 0.1 % is off the axis)" if cut else ""), title, density)
        look.save_svg(figure, path)


def counts_svg(
    path: Path,
    centres: ArrayLike,
    counts: ArrayLike,
    *,
    xlabel: str,
    vlines: Mapping[str, float] | None = None,
    title: str = "",
) -> None:
    """Draw a histogram that is already counted, given the centres of its bins (ascending) and their counts.

    More than 512 bins are joined. Raises BadInput where the two differ in length.
    """
    x, y = np.asarray(centres, float).ravel(), np.asarray(counts, float).ravel()
    if x.shape != y.shape or not x.size:
        raise BadInput(
            f"counts_svg: got {x.size} centres and {y.size} counts, wanted as many of each, and one at least."
        )
    edges = _edges_around(x)
    step = -(-x.size // 512)
    y = np.add.reduceat(y, np.arange(0, y.size, step))
    edges = np.append(edges[:-1:step], edges[-1])
    with look.drawing():
        figure, axes = charts.chart()
        _steps(axes, y, edges, "", look.PALETTE[0], filled=True)
        _finish(axes, vlines, xlabel, title, density=False)
        look.save_svg(figure, path)


def _finite(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values).ravel()
    return np.asarray(array[np.isfinite(array)])


def _edges(samples: Mapping[str, NDArray[Any]], bins: int) -> tuple[NDArray[np.float64], bool]:
    """Return the common edges, and whether they leave out the last 0.1 %."""
    filled = [values for values in samples.values() if values.size]
    if not filled:
        return np.linspace(0.0, 1.0, bins + 1), False
    low, high = min(float(part.min()) for part in filled), max(float(part.max()) for part in filled)
    nearly = max(float(np.percentile(part, 99.9)) for part in filled)
    cut = (nearly - low) < 0.5 * (high - low) and nearly > low
    high = nearly if cut else high
    if all(np.issubdtype(part.dtype, np.integer) for part in filled):
        width = max(1, int(np.ceil((high - low + 1) / bins)))
        return np.arange(np.floor(low), np.floor(high) + width + 1, width) - 0.5, cut
    return np.linspace(low, high if high > low else low + 1, bins + 1), cut


def _edges_around(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])


def _steps(axes: Any, heights: NDArray[Any], edges: NDArray[Any], name: str, colour: str, *, filled: bool) -> None:
    if filled:
        axes.stairs(heights, edges, fill=True, color=colour, alpha=0.22, linewidth=0)
    axes.stairs(heights, edges, color=colour, linewidth=1.4, label=name or None)


def _finish(axes: Any, vlines: Mapping[str, float] | None, xlabel: str, title: str, density: bool) -> None:
    charts.marked(axes, [(value, label) for label, value in (vlines or {}).items()], upright=True)
    axes.set_ylim(bottom=0)
    if not density:
        charts.counting(axes.yaxis)
    charts.finish(axes, xlabel=xlabel, ylabel="probability density" if density else "count", title=title)
