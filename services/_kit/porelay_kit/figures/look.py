"""What all pictures share: colours, type, paper, and how a sheet becomes a file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B4C9A", "#5F6B76")
"""Colours of curves, in order: those of Okabe and Ito (2008), for all kinds of colour vision."""

INK = "#222222"
FAINT = "#777777"
GRID = "#e6e6e6"
"""Neutral, so that a picture without colour stays one and its file small."""
OTHER = "#c8ced3"
"""Colour of a label that no phase has."""

DPI = 160

_LOCK = threading.RLock()
_LOOK: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.xmargin": 0.02,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "porelay",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "xtick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.7,
    "ytick.major.size": 3,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in Porelay's look whatever the user's own settings are, one thread at a time; leave no trace.

    Matplotlib keeps its settings and its font cache in the process.
    """
    from matplotlib import style

    with _LOCK, style.context(["default", _LOOK]):
        yield


def sheet(width: float, height: float, **options: Any) -> Any:
    """Return an empty white matplotlib Figure of that many inches. Call within `drawing`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Any, path: Path) -> None:
    """Write the sheet with as few bits a pixel as it needs, without time or software stamps."""
    figure.canvas.draw()
    write_png(np.asarray(figure.canvas.buffer_rgba())[..., :3], path)


def write_png(rgb: NDArray[np.uint8], path: Path) -> None:
    """Write an image (rows, columns, 3)."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all():
        image = Image.fromarray(np.ascontiguousarray(rgb[..., 0]))
    else:
        image = Image.fromarray(np.ascontiguousarray(rgb))
        if image.getcolors(256) is not None:
            image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    image.save(path, format="PNG", compress_level=9)


def save_svg(figure: Any, path: Path) -> None:
    """Write the sheet as SVG without date, creator or other metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))


def rgb(colour: str) -> NDArray[np.uint8]:
    """Return `#rrggbb` as three bytes."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)
