"""What is drawn over and beside pictures: scale bars, legends of phases, lengths in fitting units."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from porelay_kit.figures.look import INK, OTHER
from porelay_schemas.plan import Phase

_UNITS = ((1e3, "mm", 1e-3), (1.0, "µm", 1.0), (0.0, "nm", 1e3))


def length(um: float) -> str:
    """Return a length with three significant digits and a fitting unit: 0.05 -> '50 nm'."""
    _, unit, factor = next(row for row in _UNITS if um >= row[0])
    value = um * factor
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def round_length(um: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is at most `um`."""
    power = 10.0 ** math.floor(math.log10(um))
    return power * max(step for step in (1, 2, 5) if step * power <= um * (1 + 1e-9))


def scale_bar(axes: Any, inches: tuple[float, float], um_per_inch: float) -> None:
    """Draw a bar of a round length, at most a third of the width, in the lower left of axes measured in inches.

    Axes that are too small for a bar get none.
    """
    from matplotlib.patches import Rectangle

    wide, high = inches
    if wide < 0.7 or high < 0.35:
        return
    um = round_length(um_per_inch * min(0.34 * wide, 1.6))
    bar, text = um / um_per_inch, length(um)
    box = max(bar, 0.075 * len(text)) + 0.16
    left, bottom = 0.07, high - 0.07
    axes.add_patch(Rectangle((left, bottom - 0.3), box, 0.3, facecolor="white", alpha=0.82, edgecolor="none"))
    axes.add_patch(Rectangle((left + (box - bar) / 2, bottom - 0.1), bar, 0.04, facecolor=INK))
    axes.text(left + box / 2, bottom - 0.12, text, ha="center", va="bottom", fontsize=8, color=INK)


def legend(figure: Any, entries: list[Any], spot: tuple[float, float], columns: int) -> None:
    """Draw a legend in rows whose lower left corner is at `spot`, in parts of the sheet."""
    figure.legend(
        handles=entries,
        loc="lower left",
        bbox_to_anchor=spot,
        ncols=columns,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.2,
    )


def phase_handles(phases: Sequence[Phase], *, other: bool = False) -> list[Any]:
    """Return legend entries, one a phase; `other` adds the colour of labels that no phase has."""
    entries = {phase.name: phase.colour for phase in phases}
    return handles(entries | ({"no phase": OTHER} if other else {}))


def handles(colours: Mapping[str, str]) -> list[Any]:
    """Return legend entries: name -> "#rrggbb"."""
    from matplotlib.patches import Patch

    entries = [(name.replace("_", " "), colour) for name, colour in colours.items()]
    return [Patch(facecolor=colour, edgecolor="#555555", linewidth=0.5, label=name) for name, colour in entries]


def frame(axes: Any) -> None:
    """Leave of the axes a hairline around the picture, so that pale phases end somewhere."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color="#9a9a9a")
