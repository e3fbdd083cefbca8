"""Slice alignment."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Closed, Params
from porelay_schemas.errors import BadInput
from porelay_schemas.filters import Facts, Place, Series, reframing, whole
from porelay_schemas.frames import Box, Frame, Source

Shift = tuple[float, float]
LEAST_LEFT = 0.25


class AlignParams(Params):
    """What is corrected, and what becomes of the borders."""

    leave: Literal["nothing", "constant_drift", "running_mean"] = Field(
        default="nothing",
        description="part of the measured path that is taken for structure and left in: a straight line (tilted "
        "structure looks like drift), or a running mean (only the jitter is corrected)",
    )
    window_slices: int = Field(default=31, ge=3, le=100_001, description="slices in the running mean")
    most_shift: float = Field(
        default=64, gt=0, le=4096, description="shift between neighbours beyond which a pair is not believed, in pixels"
    )
    edges: Literal["crop", "repeat"] = Field(
        default="crop", description="keep what all slices have, or the full size with repeated border pixels"
    )


class Path(Closed):
    """Position (dy, dx) of each slice in pixels: `measured`, summed over the pairs, and `corrected`, what is undone."""

    measured: tuple[Shift, ...]
    corrected: tuple[Shift, ...]
    correlation: tuple[float, ...]


def find_path(volume: Source, params: AlignParams) -> Path:
    """Register each slice with the one before and sum up the shifts."""
    from porelay_preprocess import registration

    found = list(registration.pairs(volume, params.most_shift))
    steps = np.array([[0.0, 0.0], *([pair.dy, pair.dx] for pair in found)])
    measured = np.cumsum(steps, axis=0)
    corrected = measured - left_in(measured, params)
    return Path(
        measured=tuple((float(y), float(x)) for y, x in measured),
        corrected=tuple((float(y), float(x)) for y, x in corrected),
        correlation=tuple(pair.correlation for pair in found),
    )


def left_in(path: NDArray[np.float64], params: AlignParams) -> NDArray[np.float64]:
    """Return the part (z, 2) of a path that is not corrected."""
    if params.leave == "nothing" or len(path) < 3:
        return np.zeros_like(path)
    if params.leave == "constant_drift":
        z = np.arange(len(path))
        return np.stack([np.polyval(np.polyfit(z, line, 1), z) for line in path.T], axis=1)
    half = params.window_slices // 2
    return np.stack([path[max(z - half, 0) : z + half + 1].mean(axis=0) for z in range(len(path))])


def margins(path: Path, params: AlignParams) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the pixels lost (in front, behind) along y and x."""
    if params.edges == "repeat":
        return (0, 0), (0, 0)
    shifts = np.array(path.corrected)
    (y0, x0), (y1, x1) = np.ceil(np.maximum(-shifts, 0).max(0)), np.ceil(np.maximum(shifts, 0).max(0))
    return (int(y0), int(y1)), (int(x0), int(x1))


def frame(source: Frame, path: Path, params: AlignParams) -> Frame:
    """Return the frame that all slices share; raise BadInput where less than a quarter of a side would be left."""
    rows, columns = margins(path, params)
    y, x = source.shape[1] - sum(rows), source.shape[2] - sum(columns)
    if y < LEAST_LEFT * source.shape[1] or x < LEAST_LEFT * source.shape[2]:
        raise BadInput(
            f"align: the slices drift over {sum(rows)} x {sum(columns)} of {source.shape[1]} x {source.shape[2]} "
            "pixels (y, x) and share less than a quarter of a side. Set align.leave to 'constant_drift' if the "
            "structure is tilted, lower align.most_shift, or keep the size with align.edges = 'repeat'."
        )
    return Frame((source.shape[0], y, x), source.voxel_um, source.dtype)


def needs(box: Box, source: Frame, path: Path, params: AlignParams) -> Box:
    """Return the part of the slices that a box shows, with two pixels more for interpolation."""
    shifts = shown(box[0], path, params)
    parts = []
    for axis in (0, 1):
        least, most = min(shift[axis] for shift in shifts), max(shift[axis] for shift in shifts)
        size = source.shape[axis + 1]
        first = int(np.floor(box[axis + 1].start + least)) - 2
        last = int(np.ceil(box[axis + 1].stop + most)) + 2
        first = min(max(first, 0), size - 1)
        parts.append(slice(first, max(min(last, size), first + 1)))
    return box[0], parts[0], parts[1]


def shown(slices: slice, path: Path, params: AlignParams) -> tuple[Shift, ...]:
    """Return, for those slices, where the first voxel of the result lies in the source."""
    (top, _), (left, _) = margins(path, params)
    return tuple((dy + top, dx + left) for dy, dx in path.corrected[slices])


def of_grey(block: NDArray[Any], place: Place, path: Path, params: AlignParams) -> NDArray[Any]:
    """Move grey slices to fractions of a pixel."""
    from porelay_preprocess.shifting import moved

    return moved(block, place, shown(place.result[0], path, params), cubic=True)


def of_labels(block: NDArray[Any], place: Place, path: Path, params: AlignParams) -> NDArray[Any]:
    """Move label slices to the nearest pixel."""
    from porelay_preprocess.shifting import moved

    return moved(block, place, shown(place.result[0], path, params), cubic=False)


def tell(before: Source, after: Source, path: Path, params: AlignParams) -> Facts:
    """Return the path and the correlation of neighbours."""
    measured, corrected = np.array(path.measured), np.array(path.corrected)
    slices = np.arange(len(measured), dtype=float).tolist()
    curves = {f"{axis}, measured": (slices, measured[:, at].tolist()) for at, axis in enumerate("yx")}
    if params.leave != "nothing":
        curves |= {f"{axis}, corrected": (slices, corrected[:, at].tolist()) for at, axis in enumerate("yx")}
    steps = np.diff(measured, axis=0)
    numbers: dict[str, float | str] = {
        "shift between neighbours, rms, pixels": _rms(steps),
        "greatest shift between neighbours, pixels": float(np.abs(steps).max()) if steps.size else 0.0,
        "path, end to end, pixels (y, x)": "{:.2f}, {:.2f}".format(*measured[-1]),
        "lowest correlation of neighbours": min(path.correlation, default=1.0),
    }
    return Facts(numbers, (Series("Position of each slice", "slice", "pixels", curves),), (SLOW_DRIFT,))


SLOW_DRIFT = (
    "Aligning neighbours cannot tell slow drift from tilted structure: the path is a sum over pairs and small errors "
    "add up. Where the structure leans, leave the constant drift in."
)


def _rms(steps: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(steps).mean())) if steps.size else 0.0


@reframing(fit=find_path, frame=frame, needs=needs, apply=of_grey, labels=of_labels, tell=tell, work_bytes=12)
def align(grey: NDArray[Any], params: AlignParams) -> NDArray[Any]:
    """Align the slices: phase correlation and sub-pixel refinement of neighbours, summed to a path that is undone.

    `grey` (z, y, x) of any dtype; the result has the same, and fewer rows and columns with `edges = 'crop'`. The first
    slice stays where it is. Raises BadInput where the slices share less than a quarter of a side.
    """
    return whole(align, grey, params)
