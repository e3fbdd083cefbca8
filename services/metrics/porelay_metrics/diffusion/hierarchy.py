"""The same volume on ever coarser grids: groups of 2 x 2 x 2 voxels, fewer along axes that are coarse already."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.diffusion.faces import Faces, outward, pull, through
from porelay_metrics.diffusion.kernels import fold
from porelay_metrics.jit import kernel

COARSEST_VOXELS = 64
Field = NDArray[np.float32]
Steps = tuple[int, int, int]


@dataclass(frozen=True)
class Level:
    """One grid. `steps` says how many of its voxels along each axis make one of the next level."""

    diagonal: Field
    faces: Faces
    steps: Steps


@dataclass(frozen=True)
class Coarse:
    """A coarser grid and its working fields."""

    level: Level
    x: Field
    rhs: Field


def pad(mask: NDArray[np.bool_]) -> Field:
    """Return the mask as float32 with one voxel of 0 on each side."""
    padded = np.zeros([size + 2 for size in mask.shape], np.float32)
    padded[1:-1, 1:-1, 1:-1] = mask
    return padded


def uniform(mask: NDArray[np.bool_], edges: tuple[float, float, float]) -> Level:
    """Return the finest level of voxels that conduct alike; `edges` are their lengths along (0, 1, 2)."""
    shortest = min(edges)
    faces = tuple(np.float32((shortest / edge) ** 2) for edge in edges)
    return _finish(pad(mask), (faces[0], faces[1], faces[2]), edges)


def varying(conductivity: NDArray[Any], edges: tuple[float, float, float]) -> Level:
    """Return the finest level of voxels that conduct differently (0: not at all), in series across each face."""
    values = pad(conductivity > 0)
    values[1:-1, 1:-1, 1:-1] = conductivity
    shortest = min(edges)
    faces = []
    for axis, edge in enumerate(edges):
        ahead = np.roll(values, -1, axis)
        with np.errstate(invalid="ignore", divide="ignore"):
            series = np.nan_to_num(2 * values * ahead / (values + ahead))
        if axis == 0:
            series[0], series[-2] = 2 * values[1], 2 * values[-2]
        faces.append((series * (shortest / edge) ** 2).astype(np.float32))
    return _finish((values > 0).astype(np.float32), (faces[0], faces[1], faces[2]), edges)


def _finish(mask: Field, faces: Faces, edges: tuple[float, float, float]) -> Level:
    diagonal = np.zeros_like(mask)
    _sum_faces(mask, diagonal, *faces)
    return Level(diagonal, faces, _steps(diagonal.shape, edges))


def coarser(finest: Level, edges: tuple[float, float, float]) -> list[Coarse]:
    """Return all the coarser levels, the finest of them first."""
    found, level = [], finest
    while level.steps != (1, 1, 1):
        edges = tuple(edge * step for edge, step in zip(edges, level.steps, strict=True))  # type: ignore[assignment]
        level = _coarsen(level, edges)
        found.append(Coarse(level, np.zeros_like(level.diagonal), np.zeros_like(level.diagonal)))
    return found


def _coarsen(level: Level, edges: tuple[float, float, float]) -> Level:
    shape = [-(-(size - 2) // step) + 2 for size, step in zip(level.diagonal.shape, level.steps, strict=True)]
    faces = (np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    _gather(level.diagonal, *level.faces, *faces, level.steps)
    return _finish(pad(np.ones([size - 2 for size in shape], bool)), faces, edges)


def _steps(padded: tuple[int, ...], edges: tuple[float, float, float]) -> Steps:
    """Return 2 along the axes whose voxels are about the shortest, so that all couplings become alike."""
    shape = [size - 2 for size in padded]
    if np.prod(shape) <= COARSEST_VOXELS:
        return 1, 1, 1
    shortest = min(edge for edge, size in zip(edges, shape, strict=True) if size > 1)
    z, y, x = (2 if size > 1 and edge <= 1.5 * shortest else 1 for edge, size in zip(edges, shape, strict=True))
    return z, y, x


@kernel
def _sum_faces(mask: Any, diagonal: Any, faces0: Any, faces1: Any, faces2: Any) -> None:
    """Write the sum of each voxel's conductances; `mask` is 1 where it conducts."""
    layers, size = mask.shape[0] - 2, mask.shape[2] - 2
    row = mask[0, 0, 1 : size + 1].copy()
    for k in range(1, layers + 1):
        for j in range(1, mask.shape[1] - 1):
            pull(row, mask, faces0, faces1, faces2, k, j)
            total, here = diagonal[k, j, 1 : size + 1], mask[k, j, 1 : size + 1]
            for i in range(size):
                total[i] = row[i] * here[i]
            if k == 1:
                for i in range(size):
                    total[i] += outward(faces0, mask, 0, j, i + 1)
            if k == layers:
                for i in range(size):
                    total[i] += outward(faces0, mask, layers, j, i + 1)


@kernel
def _gather(
    diagonal: Any, faces0: Any, faces1: Any, faces2: Any, coarse0: Any, coarse1: Any, coarse2: Any, steps: Steps
) -> None:
    """Sum the faces between groups of voxels, divided by how many times longer the way between their centres is."""
    layers, lines, size = diagonal.shape[0] - 2, diagonal.shape[1] - 2, diagonal.shape[2] - 2
    row = diagonal[0, 0, 1 : size + 1].copy()
    for k in range(layers + 1):
        for j in range(lines + 1):
            at = (_group(k, steps[0]), _group(j, steps[1]))
            if k == layers or _group(k + 1, steps[0]) != at[0]:
                way = _way(k, layers, steps[0])
                for i in range(size):
                    if k == 0 or k == layers:
                        row[i] = outward(faces0, diagonal, k, j, i + 1) / way
                    else:
                        row[i] = through(faces0, diagonal, (k, j, i + 1), (k + 1, j, i + 1)) / way
                fold(coarse0[at[0], at[1], 1:-1], row, steps[2])
            if _group(j + 1, steps[1]) != at[1]:
                way = _way(j, lines, steps[1])
                for i in range(size):
                    row[i] = through(faces1, diagonal, (k, j, i + 1), (k, j + 1, i + 1)) / way
                fold(coarse1[at[0], at[1], 1:-1], row, steps[2])
            for i in range(1, coarse2.shape[2] - 1):
                last = min(i * steps[2], size)
                way = _way(last, size, steps[2])
                coarse2[at[0], at[1], i] += through(faces2, diagonal, (k, j, last), (k, j, last + 1)) / way


@kernel
def _group(index: int, step: int) -> int:
    """Return the coarse index of a padded fine one; 0 stays the padding."""
    return (index - 1) // step + 1


@kernel
def _way(index: int, size: int, step: int) -> float:
    """Return the distance in voxels between the groups before and after a face; at the two ends, twice that to them."""
    last = size - (size - 1) // step * step
    if index == 0:
        return float(min(step, size))
    if index == size:
        return float(last)
    return (step + last) / 2 if _group(index + 1, step) == _group(size, step) else float(step)
