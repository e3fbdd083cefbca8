"""Which parts of a phase reach from face to face. Six neighbours: what the diffusion equation sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Reach:
    """Shares of a phase along one axis: in parts that touch both faces, one face, and none. They sum to 1."""

    both: float
    one: float
    none: float


def percolating(mask: Mask, axis: int) -> Mask:
    """Return the parts of a boolean volume (z, y, x) that touch both faces across `axis`."""
    parts, count = _parts(mask)
    chosen = _touching(parts, count, axis, 0) & _touching(parts, count, axis, -1)
    return np.asarray(chosen[parts])


def reaches(mask: Mask, axes: tuple[int, ...] = (0, 1, 2)) -> list[Reach]:
    """Return what share of a phase reaches how far, along each of the axes; the phase must have a voxel."""
    parts, count = _parts(mask)
    sizes = _sizes(parts, count)
    found = []
    for axis in axes:
        first, last = _touching(parts, count, axis, 0), _touching(parts, count, axis, -1)
        shares = [float(sizes[chosen].sum() / sizes[1:].sum()) for chosen in (first & last, first ^ last)]
        found.append(Reach(shares[0], shares[1], max(0.0, 1 - sum(shares))))
    return found


def _parts(mask: Mask) -> tuple[NDArray[np.unsignedinteger], int]:
    """Return the number of the part that each voxel belongs to, 0 outside the phase, and how many there are."""
    import cc3d

    parts, count = cc3d.connected_components(
        np.ascontiguousarray(mask), connectivity=6, return_N=True, binary_image=True
    )
    return parts, int(count)


def _touching(parts: NDArray[np.unsignedinteger], count: int, axis: int, end: int) -> Mask:
    touching = np.zeros(count + 1, bool)
    touching[np.take(parts, end, axis).ravel()] = True
    touching[0] = False
    return touching


def _sizes(parts: NDArray[np.unsignedinteger], count: int) -> NDArray[np.int64]:
    """Count the voxels of each part layer by layer: counting at once would widen the whole volume to int64."""
    sizes = np.zeros(count + 1, np.int64)
    for layer in parts:
        sizes += np.bincount(layer.ravel(), minlength=count + 1)
    return sizes
