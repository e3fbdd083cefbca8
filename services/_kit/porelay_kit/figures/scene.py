"""The sheet of a 3D view: the picture within its measured box, title and legend."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures import look, marks
from porelay_kit.figures.camera import View

_SIDE = 3.75
_EDGES = [(a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit]
_NEAREST, _FARTHEST = 5, 2
"""Corners (see `View.corners`): greatest x, least y, greatest z; and its opposite."""


def average(image: NDArray[np.floating[Any]], factor: int) -> NDArray[np.floating[Any]]:
    """Average an image (rows, columns, channels) over squares of `factor` pixels, colours weighted by channel 3."""
    rows, columns, channels = image.shape
    weighted = image.copy()
    weighted[..., :3] *= image[..., 3:]
    small = weighted.reshape(rows // factor, factor, columns // factor, factor, channels).mean(axis=(1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.asarray(small, np.float32)


def show(
    path: Path, view: View, image: NDArray[np.floating[Any]], *, handles: Sequence[Any], title: str, unit: str = "µm"
) -> None:
    """Write an image (rows, columns, RGBA of 0 to 255 and 0 to 1) seen in `view`. Call within `look.drawing`."""
    columns = max(1, min(len(handles), 4))
    head = 0.28 if title else 0.02
    foot = 0.1 + 0.22 * -(-len(handles) // columns)
    left, right, bottom, top = view.tight
    inch = max(right - left, top - bottom) / _SIDE
    wide, high = (right - left) / inch, (top - bottom) / inch
    width, height = _SIDE + 0.6, high + 0.36 + head + foot
    figure = look.sheet(width, height)
    axes = figure.add_axes(((width - wide) / 2 / width, (foot + 0.24) / height, wide / width, high / height))
    axes.set_axis_off()
    axes.imshow(_bytes(image), extent=view.bounds, interpolation="antialiased", zorder=2, clip_on=False)
    _frame(axes, view)
    _lengths(axes, view, unit, inch)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    if title:
        figure.text(0.1 / width, 1 - 0.08 / height, title, ha="left", va="top", fontsize=10, fontweight="bold")
    if handles:
        figure.legend(
            handles=list(handles),
            loc="lower center",
            bbox_to_anchor=(0.5, 0.05 / height),
            ncols=columns,
            borderpad=0,
            borderaxespad=0,
        )
    look.save_png(figure, path)


def _bytes(image: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    pixels = np.rint(image * np.array([1, 1, 1, 255], np.float32))
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def _frame(axes: Any, view: View) -> None:
    seen = view.on_paper(view.corners)
    for a, b in _EDGES:
        hidden, front = _FARTHEST in (a, b), _NEAREST in (a, b)
        colour, order = ("#c4c4c4", 1) if hidden else (look.INK, 3)
        axes.plot(
            *seen[[a, b]].T,
            color=colour,
            linewidth=0.5 if front else 0.7,
            alpha=0.35 if front else 0.8,
            zorder=order,
            clip_on=False,
        )


def _lengths(axes: Any, view: View, unit: str, inch: float) -> None:
    """Write the lengths of the box along its lower front edges and its left edge."""
    seen = view.on_paper(view.corners)
    middle = view.on_paper(((view.low + view.high) / 2)[None])[0]
    for name, axis, a, b in (("x", 0, 0, 1), ("y", 1, 1, 3), ("z", 2, 0, 4)):
        span = float(view.high[axis] - view.low[axis])
        text = f"{name}  {marks.length(span) if unit == 'µm' else f'{span:.3g} {unit}'}"
        start, stop = seen[a], seen[b]
        angle = float(np.degrees(np.arctan2(*(stop - start)[::-1])))
        outward = (start + stop) / 2 - middle
        outward -= (stop - start) * ((outward @ (stop - start)) / ((stop - start) @ (stop - start)))
        outward /= np.linalg.norm(outward)
        x, y = (start + stop) / 2 + outward * 0.11 * inch
        axes.text(
            x,
            y,
            text,
            rotation=angle,
            rotation_mode="anchor",
            ha="center",
            va="center",
            fontsize=8,
            color=look.INK,
            clip_on=False,
        )
