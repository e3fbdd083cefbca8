"""Curves over a common axis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porelay_kit.figures import charts, look
from porelay_schemas.errors import BadInput

_MOST_POINTS = 1600
_STRETCHES = 320


@dataclass(frozen=True)
class Curve:
    """A line through (x, y). `band` = (low, high) shades a range around it. `style`: "-", "--", ":", "o", "o-", ...

    Values that are not finite leave gaps. A curve of more than 1600 points is drawn by the means of 320 stretches of
    it, shaded from the least to the greatest value of each.
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    band: tuple[ArrayLike, ArrayLike] | None = None
    style: str = "-"
    colour: str | None = None


def curves_svg(
    path: Path,
    curves: Sequence[Curve],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    logx: bool = False,
    logy: bool = False,
    hlines: Sequence[charts.Line] = (),
) -> None:
    """Draw curves; `hlines` are values of y, or (value, label), marked by dashed lines. Labels carry the units.
    A logarithmic axis leaves out what is not positive; where nothing is, it stays linear.

    Raises BadInput where x and y differ in length.
    """
    with look.drawing():
        figure, axes = charts.chart()
        for index, curve in enumerate(curves):
            _line(axes, curve, curve.colour or look.PALETTE[index % len(look.PALETTE)], index >= len(look.PALETTE))
        charts.marked(axes, hlines, upright=False)
        if not any(np.isfinite(np.asarray(curve.y, float)).any() for curve in curves):
            charts.empty(axes)
        if logx and _any_positive(curve.x for curve in curves):
            axes.set_xscale("log")
            charts.log_axis(axes.xaxis)
        if logy and _any_positive(curve.y for curve in curves):
            axes.set_yscale("log")
            charts.log_axis(axes.yaxis)
        charts.finish(axes, xlabel=xlabel, ylabel=ylabel, title=title)
        look.save_svg(figure, path)


def _any_positive(values: Iterable[ArrayLike]) -> bool:
    """Tell whether a logarithmic axis has anything to show; one without stays linear."""
    return any((part[np.isfinite(part)] > 0).any() for part in (np.asarray(value, float) for value in values))


def _line(axes: Any, curve: Curve, colour: str, again: bool) -> None:
    x, y = np.asarray(curve.x, float).ravel(), np.asarray(curve.y, float).ravel()
    if x.shape != y.shape:
        raise BadInput(f"curves_svg: {curve.label!r} has {x.size} values of x and {y.size} of y. Give as many of each.")
    band = None if curve.band is None else [np.asarray(edge, float).ravel() for edge in curve.band]
    if y.size > _MOST_POINTS:
        starts = np.linspace(0, y.size, _STRETCHES, endpoint=False).astype(int)
        band = band or [y, y]
        band = [np.fmin.reduceat(band[0], starts), np.fmax.reduceat(band[1], starts)]
        x, y = _means(x, starts), _means(y, starts)
    if band is not None:
        axes.fill_between(x, *band, color=colour, alpha=0.2, linewidth=0)
    style = "--" if again and curve.style == "-" else curve.style
    axes.plot(x, y, style, color=colour, label=curve.label or None, markersize=4)


def _means(values: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the means of the finite values of stretches, NaN for a stretch without any."""
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(np.where(finite, values, 0), starts) / np.add.reduceat(finite.astype(float), starts)
    return np.asarray(means, np.float64)
