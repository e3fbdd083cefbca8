"""Pictures side by side."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures import look, marks, pixels
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase

_WIDTH = 7.4
_TALLEST = 4.2
_GAP = 0.16
_MARGIN = 0.1


@dataclass(frozen=True)
class Panel:
    """One picture: grey (rows, columns), labels where `phases` is given alone, or RGB bytes (rows, columns, 3).

    `overlay` = labels of the same shape that tint a grey image; `window` = grey levels shown as black and white,
    by default the 0.5 and 99.5 percentiles of the image.
    """

    title: str
    image: NDArray[Any]
    phases: Sequence[Phase] | None = None
    overlay: NDArray[Any] | None = None
    window: tuple[float, float] | None = None


def panels_png(
    path: Path, panels: Sequence[Panel], *, voxel_um: tuple[float, float] | None = None, columns: int | None = None
) -> None:
    """Draw pictures in rows of `columns` (by default up to four), each with its title.

    `voxel_um` = pixel edges (down, across), for true proportions and a scale bar: one on the first panel where all
    panels have one size, otherwise one on each. The legend names the phases of all panels. Raises BadInput for no
    panel, or one that is not an image.
    """
    if not panels:
        raise BadInput("panels_png: got no panel, wanted at least one.")
    columns = columns or (len(panels) if len(panels) <= 4 else 3 if len(panels) % 3 == 0 else 4)
    rows = -(-len(panels) // columns)
    wide = min((_WIDTH - 2 * _MARGIN - _GAP * (columns - 1)) / columns, 2.9)
    edges = voxel_um or (1.0, 1.0)
    tall = min(_TALLEST, max(wide * _proportion(panel, edges) for panel in panels))
    with look.drawing():
        _draw(path, panels, (rows, columns), (wide, tall), edges, bar=voxel_um is not None)


def _proportion(panel: Panel, edges: tuple[float, float]) -> float:
    if panel.image.ndim not in (2, 3) or panel.image.size == 0:
        raise BadInput(f"panels_png: {panel.title!r} has shape {panel.image.shape}, wanted an image (rows, columns).")
    rows, across = panel.image.shape[:2]
    return float(rows * edges[0] / (across * edges[1]))


def _draw(
    path: Path,
    panels: Sequence[Panel],
    grid: tuple[int, int],
    cell: tuple[float, float],
    edges: tuple[float, float],
    bar: bool,
) -> None:
    rows, columns = grid
    wide, tall = cell
    titles = [textwrap.wrap(panel.title, max(8, int(wide * 13)))[:3] for panel in panels]
    head = 0.12 + 0.15 * max(len(lines) for lines in titles)
    phases = list({phase.name: phase for panel in panels for phase in panel.phases or ()}.values())
    width = 2 * _MARGIN + columns * wide + (columns - 1) * _GAP
    across = max(1, min(len(phases), int(width / 1.35)))
    foot = 0.05 + 0.24 * -(-len(phases) // across)
    height = _MARGIN + rows * (tall + head) + foot
    figure = look.sheet(width, height)
    same = len({panel.image.shape[:2] for panel in panels}) == 1
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        corner = (_MARGIN + column * (wide + _GAP), height - _MARGIN - row * (tall + head) - head - tall)
        _place(
            figure, panel, "\n".join(titles[index]), (*corner, wide, tall), edges, bar=bar and (index == 0 or not same)
        )
    if phases:
        other = any(_has_other(panel) for panel in panels)
        marks.legend(figure, marks.phase_handles(phases, other=other), (_MARGIN / width, 0.03 / height), across + other)
    look.save_png(figure, path)


def _place(
    figure: Any,
    panel: Panel,
    title: str,
    cell: tuple[float, float, float, float],
    edges: tuple[float, float],
    bar: bool,
) -> None:
    left, bottom, wide, tall = cell
    proportion = _proportion(panel, edges)
    across = min(wide, tall / proportion)
    high = max(across * proportion, 0.05)
    paper_wide, paper_high = figure.get_size_inches()
    bottom += tall - high
    axes = figure.add_axes((left / paper_wide, bottom / paper_high, across / paper_wide, high / paper_high))
    image = _pixels(panel, max(1, round(high * look.DPI)), max(1, round(across * look.DPI)))
    axes.imshow(image, extent=(0, across, high, 0), interpolation="nearest", aspect="auto")
    marks.frame(axes)
    axes.text(0, -0.05, title, fontsize=8.5, va="bottom", linespacing=1.15)
    if bar:
        marks.scale_bar(axes, (across, high), panel.image.shape[1] * edges[1] / across)


def _pixels(panel: Panel, rows: int, columns: int) -> pixels.Pixels:
    if panel.image.ndim == 3:
        return pixels.fit_nearest(panel.image, rows, columns).astype(np.uint8)
    if panel.phases is not None and panel.overlay is None:
        return pixels.colour_labels(pixels.fit_nearest(panel.image, rows, columns), panel.phases)
    grey = pixels.colour_grey(
        pixels.fit_mean(panel.image, rows, columns), panel.window or pixels.window_of([panel.image])
    )
    if panel.phases is None or panel.overlay is None:
        return grey
    return pixels.blend(grey, pixels.fit_nearest(panel.overlay, rows, columns), panel.phases)


def _has_other(panel: Panel) -> bool:
    labels = panel.overlay if panel.overlay is not None else panel.image
    return panel.phases is not None and bool((labels >= len(panel.phases)).any())
