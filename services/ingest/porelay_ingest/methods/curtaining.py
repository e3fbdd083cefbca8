"""Curtaining: stripes that milling leaves."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_ingest.judge import above
from porelay_ingest.series import running_mean
from porelay_schemas.base import Params
from porelay_schemas.stacks import Finding, Images, Sample

TILE, SMALLEST, ROOMY = 64, 32, 512
"""Pixels: side of a tile, of the smallest, and of a slice from which tiles need not overlap to be many."""
STRAIGHT, CROSSING, ACROSS = 0, slice(3, 9), 3
"""Cycles in a tile: along a stripe, along what crosses it, and the fewest across."""


class CurtainingParams(Params):
    """Thresholds of `curtaining`."""

    warn: float = Field(0.15, gt=0, description="score from which to warn, in decades of power; 0 without stripes")
    fail: float = Field(0.7, gt=0, description="score that fails, in decades of power")
    along: Literal["y", "x"] = Field(
        "y", description="axis the stripes run along: y, from the top of a slice down, or x"
    )


def curtaining(sample: Sample, *, params: CurtainingParams) -> Finding | None:
    """Curtaining score: how much more power straight stripes have along the milling direction than across it.

    In tiles of 64 pixels, log10 of the power at no cycles along the stripe over that at 3 to 8, the median over the
    frequencies across; the median over all tiles, less the same for the other axis. Noise and structure without a
    preferred direction give 0, most tiles show stripes before noise hides them. Fibres that lie along the axis score
    like stripes.
    """
    if sample.kind == "labels":
        return None
    threshold = f"below {params.warn:g} (fails from {params.fail:g})"
    if min(sample.planes.shape[1:]) < SMALLEST:
        meaning = (
            f"Slices of {sample.shape[1]} x {sample.shape[2]} pixels are too small to tell stripes from structure."
        )
        return Finding(None, threshold, "info", meaning)
    turned = sample.planes if params.along == "y" else sample.planes.transpose(0, 2, 1)
    along = [np.median(tile_scores(plane)) for plane in turned]
    across = [np.median(tile_scores(plane.T)) for plane in turned]
    value = float(np.median(along) - np.median(across))
    verdict = above(value, params.warn, params.fail)
    worst = int(np.argmax(along))
    seen = stripes(turned[worst])
    return Finding(
        value=round(value, 3),
        threshold=threshold,
        verdict=verdict,
        meaning="No stripes to speak of."
        if verdict == "ok"
        else f"Stripes run along {params.along}: they shift grey levels column by column and draw false boundaries. "
        "Switch on preprocess: curtains (unless the structure itself, such as fibres, lies along them).",
        picture=Images(
            (
                (f"slice {sample.planes_z[worst]}", sample.planes[worst]),
                (f"its stripes along {params.along}", seen if params.along == "y" else seen.T),
            )
        ),
        figures={"along": float(np.median(along)), "across": float(np.median(across))},
    )


def tile_scores(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return the score of each tile of a slice (rows, columns) for stripes that run along the rows' axis."""
    side = TILE if min(plane.shape) >= TILE else SMALLEST
    tiles = tiled(plane, side, side if min(plane.shape) >= ROOMY else side // 2)
    window = np.hanning(side)
    power = np.abs(np.fft.rfft2((tiles - tiles.mean(axis=(1, 2), keepdims=True)) * np.outer(window, window))) ** 2
    straight = power[:, STRAIGHT, ACROSS : side // 2]
    crossing = power[:, CROSSING, ACROSS : side // 2].mean(axis=1)
    floor = 1e-9 * max(float(power.max()), 1e-30)
    return np.asarray(np.median(np.log10((straight + floor) / (crossing + floor)), axis=1))


def tiled(plane: NDArray[Any], side: int, step: int) -> NDArray[np.float64]:
    """Cut a slice into tiles (n, side, side), `step` apart; what is left over at the far edges is not used."""
    windows = np.lib.stride_tricks.sliding_window_view(plane, (side, side))[::step, ::step]
    return windows.reshape(-1, side, side).astype(np.float64)


def stripes(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return what is straight along the rows' axis for a tile's length, edges of the structure held back."""
    field = plane.astype(np.float64)
    fine = field - running_mean(field.T, TILE // 4 + 1).T
    limit = 3 * 1.4826 * float(np.median(np.abs(fine)))
    return running_mean(np.clip(fine, -limit, limit), TILE + 1)
