"""Bars in groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from porelay_kit.figures import charts, look
from porelay_schemas.errors import BadInput


def bars_svg(
    path: Path,
    labels: Sequence[str],
    groups: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    title: str = "",
    errors: Mapping[str, Sequence[float]] | None = None,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Draw, at each label, one bar of each group: `groups["real"][i]` belongs to `labels[i]`.

    `errors` are half lengths of error bars, by group; `colours` "#rrggbb" by group. A value that is not finite is
    shown as "n/a". Raises BadInput where a group is not as long as the labels.
    """
    for name, values in groups.items():
        if len(values) != len(labels):
            raise BadInput(f"bars_svg: group {name!r} has {len(values)} values for {len(labels)} labels.")
    with look.drawing():
        figure, axes = charts.chart()
        axes.grid(False, axis="x")
        for index, (name, values) in enumerate(groups.items()):
            colour = (colours or {}).get(name) or look.PALETTE[index % len(look.PALETTE)]
            _group(axes, (index, len(groups)), np.array(values, float), name, colour, (errors or {}).get(name))
        crowded = max((len(label) for label in labels), default=0) * len(labels) > 70
        axes.set_xticks(range(len(labels)), labels, rotation=28 if crowded else 0, ha="right" if crowded else "center")
        axes.tick_params(axis="x", length=0)
        axes.margins(y=0.12)
        if all(not (np.array(values, float) < 0).any() for values in groups.values()):
            axes.set_ylim(bottom=0)
        charts.finish(axes, xlabel="", ylabel=ylabel, title=title)
        look.save_svg(figure, path)


def _group(
    axes: Any, place: tuple[int, int], values: Any, name: str, colour: str, errors: Sequence[float] | None
) -> None:
    index, count = place
    width = 0.78 / count
    x = np.arange(values.size) + (index - (count - 1) / 2) * width
    known = np.isfinite(values)
    bars = axes.bar(
        x,
        np.where(known, values, 0),
        width * 0.92,
        color=colour,
        label=name,
        yerr=None if errors is None else np.where(known, np.array(errors, float), np.nan),
        error_kw={"ecolor": look.INK, "elinewidth": 0.9, "capsize": 2.5},
    )
    if values.size * count <= 14 or not known.all():
        few = values.size * count <= 14
        texts = ["n/a" if not ok else f"{value:.3g}" if few else "" for ok, value in zip(known, values, strict=True)]
        axes.bar_label(bars, texts, fontsize=7.5, padding=2, color=look.INK)
