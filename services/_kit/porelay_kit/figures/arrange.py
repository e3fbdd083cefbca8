"""How three slices of one volume lie on a sheet: at one scale, in their true proportions."""

from dataclasses import dataclass

from porelay_schemas.base import Axis3, VoxelUm

_WIDE, _HIGH = 7.2, 4.6
_THINNEST = 0.16
_GAP = 0.14
_CAPTION = 0.2
_FLAT = 0.46
"""A volume less deep than this part of its height has xz and yz one above the other."""


@dataclass(frozen=True)
class Slot:
    """Where a slice goes: which axes (0 z, 1 y, 2 x) run down and across, and its place in inches from the top left."""

    name: str
    down: int
    across: int
    left: float
    top: float
    wide: float
    high: float


@dataclass(frozen=True)
class Arrangement:
    """Three slots on an area of so many inches, captions included."""

    slots: tuple[Slot, Slot, Slot]
    wide: float
    high: float


def arrange(shape: Axis3, voxel_um: VoxelUm) -> Arrangement:
    """Return the slices xy, xz and yz in a row, or of a flat volume xz above yz beside xy.

    A slice thinner than can be seen is drawn thicker than it is.
    """
    z, y, x = (size * edge for size, edge in zip(shape, voxel_um, strict=True))
    flat = z < _FLAT * y
    across, down = (x + max(x, y), max(y, 2 * z)) if flat else (2 * x + y, max(y, z))
    scale = min((_WIDE - 2 * _GAP) / across, _HIGH / down)
    sides = [max(_THINNEST, side * scale) for side in (z, y, x)]
    return _stacked(*sides) if flat else _row(*sides)


def _row(z: float, y: float, x: float) -> Arrangement:
    slots = (
        Slot("xy", 1, 2, 0, _CAPTION, x, y),
        Slot("xz", 0, 2, x + _GAP, _CAPTION, x, z),
        Slot("yz", 0, 1, 2 * (x + _GAP), _CAPTION, y, z),
    )
    return Arrangement(slots, 2 * (x + _GAP) + y, _CAPTION + max(y, z))


def _stacked(z: float, y: float, x: float) -> Arrangement:
    slots = (
        Slot("xy", 1, 2, 0, _CAPTION, x, y),
        Slot("xz", 0, 2, x + _GAP, _CAPTION, x, z),
        Slot("yz", 0, 1, x + _GAP, 2 * _CAPTION + z + _GAP / 2, y, z),
    )
    return Arrangement(slots, x + _GAP + max(x, y), max(_CAPTION + y, 2 * (_CAPTION + z) + _GAP / 2))
