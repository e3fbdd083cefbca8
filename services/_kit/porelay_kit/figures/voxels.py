"""A label volume in 3D."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures import look, marks, pixels, rays, scene
from porelay_kit.figures.camera import TOWARDS, Vectors, View, haze, shade
from porelay_kit.figures.ortho import Sliceable
from porelay_schemas.base import VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase

_PIXELS = 600
_OVERSAMPLE = 2
_MOST_VOXELS = 150


def phases_png(
    path: Path,
    labels: Sliceable,
    *,
    phases: Sequence[Phase],
    voxel_um: VoxelUm,
    shown: Sequence[int] | None = None,
    title: str = "",
) -> None:
    """Draw a label volume (z, y, x) in 3D: the whole box, or only the phases whose labels are `shown`.

    Phases that are shown alone have smooth, shaded surfaces; where the box cuts them they are flat. Volumes longer
    than 150 voxels are thinned out, which is enough for the picture's pixels. Raises BadInput for what is not a
    volume, and for a label in `shown` that no phase has.
    """
    if len(labels.shape) != 3 or 0 in labels.shape:
        raise BadInput(f"phases_png: wanted a volume (z, y, x), got shape {labels.shape}.")
    only = None if shown is None else sorted(set(shown))
    wrong = [label for label in only or () if not 0 <= label < len(phases)]
    if wrong:
        raise BadInput(f"phases_png: `shown` has {wrong}, but the phases have labels 0 to {len(phases) - 1}.")
    thin = pixels.as_bytes(_thinned(labels))
    size = np.array(labels.shape[::-1], np.float32) * np.array(voxel_um[::-1], np.float32)
    view = View(np.zeros(3, np.float32), size, _PIXELS * _OVERSAMPLE)
    image = scene.average(_render(view, thin, pixels.colour_table(phases), only), _OVERSAMPLE)
    named = phases if only is None else [phases[label] for label in only]
    other = only is None and bool((thin >= len(phases)).any())
    with look.drawing():
        scene.show(path, view, image, handles=marks.phase_handles(named, other=other), title=title)


def _thinned(labels: Sliceable) -> NDArray[Any]:
    """Read the voxels nearest to the centres of a coarser grid, a slab at a time."""
    z, y, x = (pixels.centres(size, _MOST_VOXELS) for size in labels.shape)
    depth = max(1, 2**26 // (labels.shape[1] * labels.shape[2]))
    parts = []
    for start in range(0, labels.shape[0], depth):
        inside = z[(z >= start) & (z < start + depth)] - start
        if inside.size:
            parts.append(np.asarray(labels[start : start + depth, :, :])[np.ix_(inside, y, x)])
    return np.concatenate(parts)


def _render(
    view: View, labels: NDArray[np.uint8], colours: NDArray[np.uint8], only: list[int] | None
) -> NDArray[np.floating[Any]]:
    """Return the picture, shape (pixels, pixels, RGBA)."""
    voxel = np.asarray(view.high / np.array(labels.shape[::-1]), np.float32)
    hits = rays.enter(view, voxel)
    if only is None:
        lit = shade(colours[rays.sample(labels, hits.point)], rays.face_normals(hits))
    else:
        hits, lit = _cut_out(hits, [labels == label for label in only], colours[only], voxel)
    image = np.zeros((view.pixels**2, 4), np.float32)
    image[hits.pixel, :3] = lit
    image[hits.pixel, 3] = 1
    return image.reshape(view.pixels, view.pixels, 4)


def _cut_out(
    enters: rays.Hits, masks: Sequence[NDArray[np.bool_]], colours: NDArray[np.uint8], voxel: Vectors
) -> tuple[rays.Hits, Vectors]:
    """Return where the masks are seen, and the lit colours there."""
    if not masks:
        return enters.only(slice(0)), np.empty((0, 3))
    fields = [rays.smooth(mask) for mask in masks]
    solid = np.maximum.reduce(fields)
    hits = rays.march(solid, enters, voxel)
    which = np.argmax([rays.interpolate(field, hits.point) for field in fields], axis=0)
    normals = rays.normals(solid, hits, voxel)
    openness, mist = rays.openness(solid, hits, normals), haze(hits.point * voxel @ TOWARDS)
    return hits, shade(colours[which], normals, openness=openness, mist=mist)
