"""Compiled loops. Each result voxel is the same sum in the same order wherever its block begins.

All take arrays (z, y, x) padded by the window's radius and release the interpreter lock.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        fast: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to keep the compiled code: compile it anew in each process
        fast = numba.njit(nogil=True)(function)
    return fast


def _median_u8(padded: Array, size: tuple[int, int, int], out: Array) -> None:
    """Slide a histogram along x (Huang, Yang and Tang 1979, IEEE Trans. ASSP 27, 13)."""
    dz, dy, dx = size
    half = (dz * dy * dx) // 2
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            counts = np.zeros(256, np.int32)
            for i in range(z, z + dz):
                for j in range(y, y + dy):
                    for k in range(dx):
                        counts[padded[i, j, k]] += 1
            middle, below = 0, 0
            for x in range(out.shape[2]):
                while below > half:
                    middle -= 1
                    below -= counts[middle]
                while below + counts[middle] <= half:
                    below += counts[middle]
                    middle += 1
                out[z, y, x] = middle
                if x + 1 == out.shape[2]:
                    break
                for i in range(z, z + dz):
                    for j in range(y, y + dy):
                        old, new = padded[i, j, x], padded[i, j, x + dx]
                        counts[old] -= 1
                        counts[new] += 1
                        below += int(new < middle) - int(old < middle)


def _bilateral(
    padded: Array, radius: tuple[int, int, int], offsets: Array, near: Array, alike: Array, per_bin: float, out: Array
) -> None:
    """Average neighbours by nearness and likeness.

    `offsets` (n, 3) are positions in the window counted from its corner, `near` (n,) their weights, `alike` weights
    by grey difference in bins of 1 / `per_bin`; the last of them stands for all greater differences.
    """
    last = alike.size - 1
    width = out.shape[2]
    total, weight = np.empty(width, np.float32), np.empty(width, np.float32)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            centre = padded[z + radius[0], y + radius[1], radius[2] : radius[2] + width]
            total[:] = 0
            weight[:] = 0
            for n in range(offsets.shape[0]):
                row = padded[z + offsets[n, 0], y + offsets[n, 1], offsets[n, 2] : offsets[n, 2] + width]
                for x in range(width):
                    bin_ = min(int(abs(row[x] - centre[x]) * per_bin + np.float32(0.5)), last)
                    w = near[n] * alike[bin_]
                    total[x] += w * row[x]
                    weight[x] += w
            for x in range(width):
                out[z, y, x] = total[x] / weight[x]


def _nl_means(
    padded: Array, search: tuple[int, int, int], patch: tuple[int, int, int], scale: tuple[float, float], out: Array
) -> None:
    """Average voxels by the likeness of the patches around them (Buades, Coll and Morel 2005, CVPR).

    `scale` = (variance of the difference of two noisy voxels, 1 / h squared). Each pair of voxels is weighed once
    and counted for both.
    """
    sz, sy, sx = search
    shape = (out.shape[0], out.shape[1], out.shape[2])
    table = np.exp(-np.arange(4097) / 512.0).astype(np.float32)
    table[4096] = 0
    oz, oy, ox = sz + patch[0], sy + patch[1], sx + patch[2]
    total = padded[oz : oz + shape[0], oy : oy + shape[1], ox : ox + shape[2]].copy()
    weight = np.ones(shape, np.float32)
    for dz in range(sz + 1):
        for dy in range(-sy if dz > 0 else 0, sy + 1):
            for dx in range(-sx if dz > 0 or dy > 0 else 1, sx + 1):
                _accumulate(padded, (dz, dy, dx), search, patch, scale, table, total, weight)
    out[:] = total / weight


def _accumulate_pairs(
    padded: Array,
    step: tuple[int, int, int],
    search: tuple[int, int, int],
    patch: tuple[int, int, int],
    scale: tuple[float, float],
    table: Array,
    total: Array,
    weight: Array,
) -> None:
    """Add each voxel's neighbours at `step` and at minus `step`."""
    dz, dy, dx = step
    rz, ry, rx = patch
    nz, ny, nx = total.shape
    oz, oy, ox = search[0] + rz, search[1] + ry, search[2] + rx
    alike = _patch_weights(padded, step, search, patch, scale, table, total.shape)
    az, ay, ax = dz, max(dy, 0), max(dx, 0)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                w = alike[z + az, y + ay, x + ax]
                v = alike[z + az - dz, y + ay - dy, x + ax - dx]
                here = padded[z + oz + dz, y + oy + dy, x + ox + dx]
                there = padded[z + oz - dz, y + oy - dy, x + ox - dx]
                total[z, y, x] += w * here + v * there
                weight[z, y, x] += w + v


def _weights_of_patches(
    padded: Array,
    step: tuple[int, int, int],
    search: tuple[int, int, int],
    patch: tuple[int, int, int],
    scale: tuple[float, float],
    table: Array,
    shape: tuple[int, int, int],
) -> Array:
    """Return the weight of each voxel with its neighbour at `step`, also for the voxels one step before the block."""
    dz, dy, dx = step
    rz, ry, rx = patch
    az, ay, ax = dz, max(dy, 0), max(dx, 0)
    nz, ny, nx = shape[0] + dz, shape[1] + abs(dy), shape[2] + abs(dx)
    bz, by, bx = search[0] - az, search[1] - ay, search[2] - ax
    square = np.empty((nz + 2 * rz, ny + 2 * ry, nx + 2 * rx), np.float32)
    for z in range(square.shape[0]):
        for y in range(square.shape[1]):
            a, b = padded[bz + z, by + y], padded[bz + z + dz, by + y + dy]
            for x in range(square.shape[2]):
                difference = a[bx + x] - b[bx + x + dx]
                square[z, y, x] = difference * difference
    voxels = np.float32(1.0 / ((2 * rz + 1) * (2 * ry + 1) * (2 * rx + 1)))
    noise, per_h = np.float32(scale[0]), np.float32(scale[1] * 512)
    weights = np.empty((nz, ny, nx), np.float32)
    rows = np.empty((ny + 2 * ry, nx + 2 * rx), np.float32)
    line = np.empty(nx + 2 * rx, np.float32)
    for z in range(nz):
        rows[:] = square[z]
        for k in range(1, 2 * rz + 1):
            for y in range(rows.shape[0]):
                for x in range(rows.shape[1]):
                    rows[y, x] += square[z + k, y, x]
        for y in range(ny):
            line[:] = rows[y]
            for k in range(1, 2 * ry + 1):
                for x in range(line.size):
                    line[x] += rows[y + k, x]
            for x in range(nx):
                distance = line[x]
                for k in range(1, 2 * rx + 1):
                    distance += line[x + k]
                excess = max(distance * voxels - noise, np.float32(0)) * per_h
                weights[z, y, x] = table[int(min(excess, np.float32(4096)))]
    return weights


median_u8 = _compiled(_median_u8)
bilateral = _compiled(_bilateral)
_patch_weights = _compiled(_weights_of_patches)
_accumulate = _compiled(_accumulate_pairs)
nl_means = _compiled(_nl_means)
