"""Three orthogonal slices of a volume in their true proportions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porelay_kit.figures import look, marks, pixels
from porelay_kit.figures.arrange import Arrangement, Slot, arrange
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase

_MARGIN = 0.12


class Sliceable(Protocol):
    """A numpy array or a volume of the kit: read by slices (z, y, x), never as a whole."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along (z, y, x)."""

    def __getitem__(self, box: Any, /) -> Any: ...


def ortho_png(
    path: Path,
    volume: Sliceable,
    *,
    voxel_um: VoxelUm,
    phases: Sequence[Phase] | None = None,
    overlay: Sliceable | None = None,
    title: str = "",
    window: tuple[float, float] | None = None,
) -> None:
    """Draw the middle slices xy, xz and yz of a volume at one scale, with scale bar.

    `volume` (z, y, x) is grey, or labels where `phases` is given without `overlay`. `overlay` is a label volume of
    the same shape whose phases tint the grey slices. `window` = grey levels shown as black and white; by default
    the 0.5 and 99.5 percentiles of the slices. Pixels that are not finite are red. Raises BadInput where the shapes
    do not fit.
    """
    shape = _checked(volume, phases, overlay)
    plan = arrange(shape, voxel_um)
    labelled = phases is not None and overlay is None
    slices = [_fit(_middle(volume, slot), slot, labelled) for slot in plan.slots]
    tints = [_fit(_middle(overlay, slot), slot, True) for slot in plan.slots] if overlay is not None else None
    images = _colour(slices, tints, phases, window)
    other = phases is not None and any((part >= len(phases)).any() for part in tints or slices)
    with look.drawing():
        handles = marks.phase_handles(phases, other=other) if phases else []
        _draw(path, plan, images, handles, (title, _facts(shape, voxel_um), _across_um(shape, voxel_um)))


def _checked(volume: Sliceable, phases: Sequence[Phase] | None, overlay: Sliceable | None) -> Axis3:
    if len(volume.shape) != 3 or 0 in volume.shape:
        raise BadInput(f"ortho_png: wanted a volume (z, y, x), got shape {volume.shape}.")
    if overlay is not None and overlay.shape != volume.shape:
        raise BadInput(f"ortho_png: the overlay has shape {overlay.shape}, its volume {volume.shape}. Give equal ones.")
    if overlay is not None and phases is None:
        raise BadInput("ortho_png: an overlay needs `phases`, for its colours.")
    z, y, x = volume.shape
    return z, y, x


def _middle(volume: Sliceable, slot: Slot) -> NDArray[Any]:
    """Return the middle slice of a volume, its rows and columns along the axes of the slot."""
    across = ({0, 1, 2} - {slot.down, slot.across}).pop()
    start = volume.shape[across] // 2
    box = tuple(slice(start, start + 1) if axis == across else slice(None) for axis in range(3))
    part = np.asarray(volume[box]).squeeze(across)
    return part if slot.down < slot.across else part.T


def _fit(part: NDArray[Any], slot: Slot, labels: bool) -> NDArray[Any]:
    rows, columns = max(1, round(slot.high * look.DPI)), max(1, round(slot.wide * look.DPI))
    return (pixels.fit_nearest if labels else pixels.fit_mean)(part, rows, columns)


def _colour(
    slices: list[NDArray[Any]],
    tints: list[NDArray[Any]] | None,
    phases: Sequence[Phase] | None,
    window: tuple[float, float] | None,
) -> list[pixels.Pixels]:
    if phases is not None and tints is None:
        return [pixels.colour_labels(part, phases) for part in slices]
    levels = window or pixels.window_of(slices)
    greys = [pixels.colour_grey(part, levels) for part in slices]
    if phases is None or tints is None:
        return greys
    return [pixels.blend(grey, tint, phases) for grey, tint in zip(greys, tints, strict=True)]


def _draw(
    path: Path, plan: Arrangement, images: list[pixels.Pixels], handles: list[Any], told: tuple[str, str, float]
) -> None:
    """Draw the slices; `told` = title, facts, and the micrometres across the first slice."""
    title, facts, across_um = told
    width = max(plan.wide, 3.2) + 2 * _MARGIN
    columns = max(1, min(len(handles), int(width / 1.35)))
    head, foot = (0.26 if title else 0.0), 0.28 + 0.22 * -(-len(handles) // columns)
    height = head + plan.high + 2 * _MARGIN + foot
    figure = look.sheet(width, height)
    for slot, image in zip(plan.slots, images, strict=True):
        place = (_MARGIN + slot.left, height - head - _MARGIN - slot.top - slot.high, slot.wide, slot.high)
        axes = figure.add_axes(tuple(np.divide(place, (width, height, width, height))))
        axes.imshow(image, extent=(0, slot.wide, slot.high, 0), interpolation="nearest", aspect="auto")
        marks.frame(axes)
        axes.text(0, -0.03, _caption(slot), fontsize=8, va="bottom")
        if slot.name == "xy":
            marks.scale_bar(axes, (slot.wide, slot.high), across_um / slot.wide)
    if title:
        figure.text(_MARGIN / width, 1 - 0.07 / height, title, va="top", fontsize=10, fontweight="bold")
    figure.text(_MARGIN / width, 0.09 / height, facts, va="bottom", fontsize=7.5, color=look.FAINT)
    if handles:
        marks.legend(figure, handles, (_MARGIN / width, 0.3 / height), columns)
    look.save_png(figure, path)


def _caption(slot: Slot) -> str:
    long = f"{slot.name}   {'zyx'[slot.across]} →  {'zyx'[slot.down]} ↓"
    return long if slot.wide > 1.1 else slot.name


def _across_um(shape: Axis3, voxel_um: VoxelUm) -> float:
    return shape[2] * voxel_um[2]


def _facts(shape: Axis3, voxel_um: VoxelUm) -> str:
    z, y, x = shape
    edges = [marks.length(edge) for edge in voxel_um]
    return f"{z} × {y} × {x} voxels (z, y, x) of {edges[0] if len(set(edges)) == 1 else ' × '.join(edges)}"
