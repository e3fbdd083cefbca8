"""What curves, bars and histograms share: the sheet, tick labels, and where the legend goes."""

import math
from collections.abc import Sequence
from typing import Any

from porelay_kit.figures import look

WIDTH, HEIGHT = 5.3, 3.15
_BESIDE = 1.2
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Line = float | tuple[float, str]
"""A value to mark, or (value, label)."""


def chart() -> tuple[Any, Any]:
    """Return (figure, axes) of an empty chart. Call within `look.drawing`."""
    figure = look.sheet(WIDTH, HEIGHT, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure, figure.add_subplot()


def finish(axes: Any, *, xlabel: str, ylabel: str, title: str) -> None:
    """Add labels, title, and the legend: one line above few entries, a column outside on the right of many."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    _, labels = axes.get_legend_handles_labels()
    above = sum(len(label) + 5 for label in labels) <= 68 and len(labels) <= 5
    if labels and above:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=len(labels),
            borderaxespad=0.2,
            borderpad=0,
            columnspacing=1.3,
        )
    elif labels:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
        axes.figure.set_size_inches(WIDTH + _BESIDE, HEIGHT)
    if title:
        axes.set_title(title, pad=22 if labels and above else 8)


def log_axis(axis: Any) -> None:
    """Write the ticks of a logarithmic axis as 10⁻³, or as plain numbers where the axis spans about a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    narrow = 0 < low < high and math.log10(high / low) < 1.3
    usual = 5e-3 < low < high < 2e4
    axis.set_major_formatter(FuncFormatter(_plain if narrow or usual else _power))
    axis.set_minor_locator(LogLocator(subs=(2, 3, 5) if narrow else range(2, 10)))
    axis.set_minor_formatter(FuncFormatter(_plain) if narrow else NullFormatter())


def counting(axis: Any) -> None:
    """Write the ticks of an axis of counts as 20k, 1.5M."""
    from matplotlib.ticker import EngFormatter

    axis.set_major_formatter(EngFormatter(sep=""))


def marked(axes: Any, lines: Sequence[Line], *, upright: bool) -> None:
    """Draw dashed lines across the chart at values of y, or of x where `upright`."""
    for index, line in enumerate(lines):
        value, label = line if isinstance(line, tuple) else (line, None)
        draw = axes.axvline if upright else axes.axhline
        draw(
            value,
            color=look.INK,
            linewidth=1.0,
            linestyle=((0, (4, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))[index % 3],
            label=label,
        )


def empty(axes: Any) -> None:
    """Say that there is nothing to show."""
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=look.FAINT, fontsize=11)


def _power(value: float, _position: int | None = None) -> str:
    exponent = round(math.log10(value)) if value > 0 else 0
    return "10" + str(exponent).translate(_SUPERSCRIPT) if exponent else "1"


def _plain(value: float, _position: int | None = None) -> str:
    return f"{value:.3g}"
