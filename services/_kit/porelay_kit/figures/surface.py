"""A triangle mesh in 3D."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures import look, marks, scene
from porelay_kit.figures.camera import Vectors, View, haze, shade
from porelay_kit.figures.triangles import edge_distance, nearest_faces
from porelay_schemas.errors import BadInput

_PIXELS = 600
_OVERSAMPLE = 2
_CLEAR_EDGE = 10.0
"""Length on paper, in pixels of the drawing, from which edges are worth drawing."""

Colours = str | Sequence[str] | NDArray[Any]


def mesh_png(
    path: Path,
    vertices: NDArray[Any],
    faces: NDArray[Any],
    colours: Colours,
    *,
    title: str = "",
    palette: Sequence[str] = look.PALETTE,
    edges: bool | None = None,
    legend: Mapping[str, str] | None = None,
    unit: str = "µm",
) -> None:
    """Draw triangles, shaded, within their measured box.

    `vertices` are (x, y, z), shape (n, 3), in `unit`; `faces` index them, shape (m, 3). `colours`: one "#rrggbb",
    or one a face, or for each face an index into `palette`. `edges` draws the triangles' edges, by default where
    they are long enough to be seen. `legend` = name -> "#rrggbb". Either side of a face may be seen. Raises BadInput
    where the shapes do not fit.
    """
    points, corners = np.asarray(vertices, np.float64), np.asarray(faces, np.int64).reshape(-1, 3)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise BadInput(f"mesh_png: wanted vertices of shape (n, 3), got {points.shape}.")
    if corners.size and not 0 <= corners.min() <= corners.max() < len(points):
        raise BadInput(
            f"mesh_png: faces name vertices {corners.min()} to {corners.max()}, but there are {len(points)}."
        )
    table = _colours(colours, len(corners), palette)
    view = View(points.min(axis=0).astype(np.float32), points.max(axis=0).astype(np.float32), _PIXELS * _OVERSAMPLE)
    image = scene.average(_render(view, points.astype(np.float32), corners, table, edges), _OVERSAMPLE)
    with look.drawing():
        scene.show(path, view, image, handles=marks.handles(legend or {}), title=title, unit=unit)


def _colours(colours: Colours, count: int, palette: Sequence[str]) -> NDArray[np.floating[Any]]:
    """Return the colours of faces, shape (faces, 3)."""
    if isinstance(colours, str):
        return np.tile(look.rgb(colours).astype(np.float32), (count, 1))
    if len(colours) != count:
        raise BadInput(f"mesh_png: got {len(colours)} colours for {count} faces. Give one, or one a face.")
    given = np.asarray(colours)
    if given.dtype.kind in "iu" and given.ndim == 1:
        table = np.array([look.rgb(colour) for colour in palette], np.float32)
        return np.asarray(table[given % len(palette)])
    if given.ndim == 2:
        return given.astype(np.float32)
    names, which = np.unique(given, return_inverse=True)
    table = np.array([look.rgb(str(name)) for name in names], np.float32).reshape(-1, 3)
    return np.asarray(table[which])


def _render(
    view: View, points: Vectors, faces: NDArray[np.int64], colours: NDArray[np.floating[Any]], edges: bool | None
) -> NDArray[np.floating[Any]]:
    """Return the picture, shape (pixels, pixels, RGBA)."""
    seen = view.to_pixels(points)[faces]
    face, depth = nearest_faces(seen, view.pixels)
    hit = np.flatnonzero(face >= 0)
    which = face[hit]
    light = _crevices(depth, face >= 0, view.pixels)[hit]
    lit = shade(colours[which], _normals(points, faces)[which], openness=light, mist=haze(depth[hit]))
    if edges if edges is not None else _clear(seen[np.unique(which)]):
        lit *= 1 - 0.42 * np.clip(1.6 - edge_distance(seen[which], hit, view.pixels), 0, 1)[:, None]
    image = np.zeros((view.pixels**2, 4), np.float32)
    image[hit, :3] = lit
    image[hit, 3] = 1
    return image.reshape(view.pixels, view.pixels, 4)


def _normals(points: Vectors, faces: NDArray[np.int64]) -> Vectors:
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30), np.float32)


def _clear(seen: NDArray[np.floating[Any]]) -> bool:
    """Tell whether the edges of most of the triangles seen are long enough to be drawn."""
    long = np.linalg.norm(seen[:, 1, :2] - seen[:, 0, :2], axis=1)
    return bool(long.size) and float(np.median(long)) >= _CLEAR_EDGE * _OVERSAMPLE


def _crevices(depth: NDArray[np.floating[Any]], hit: NDArray[np.bool_], pixels: int) -> NDArray[np.floating[Any]]:
    """Return the light that reaches each pixel: less where its surroundings are nearer to the viewer.

    Source: Luft, Colditz, Deussen (2006), Image enhancement by unsharp masking the depth buffer.
    """
    from scipy import ndimage

    if not hit.any():
        return np.ones(hit.size, np.float32)
    low, span = float(depth[hit].min()), max(float(np.ptp(depth[hit])), 1e-12)
    scaled = np.where(hit, (depth - low) / span, 0).reshape(pixels, pixels).astype(np.float32)
    weight = hit.reshape(pixels, pixels).astype(np.float32)
    dark = np.zeros_like(scaled)
    for sigma, strength in ((3.0 * _OVERSAMPLE, 2.2), (10.0 * _OVERSAMPLE, 1.6)):
        around = ndimage.gaussian_filter(scaled, sigma) / np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-3)
        dark += strength * np.clip(around - scaled, 0, 0.2)
    return np.asarray(np.clip(1.04 - dark, 0.45, 1).ravel(), np.float32)
