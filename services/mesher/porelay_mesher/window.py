"""Which part of a volume is meshed, how coarsely, and whether that fits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_mesher.meshes import Labels
from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput, TooLarge

TETRAHEDRA = 6
"""Tetrahedra a voxel."""
FACTORS = (1, 2, 4)
SLAB = 32
"""Depth of a slab that is read at once, in coarse voxels."""
AROUND = 1 / 32
"""Weight of the cubes around against the cube itself, whose shares are multiples of 1/8 or 1/64."""
BALANCING, GAIN, LARGEST = 24, 1.0, 0.4
"""Rounds, speed and limit of the handicaps."""


def centre(shape: Axis3, crop: Axis3 | None) -> tuple[Axis3, Axis3]:
    """Return origin and size of the centred window `crop` (z, y, x), clipped to the volume; all of it for None."""
    size = tuple(min(have, want) for have, want in zip(shape, crop or shape, strict=True))
    origin = tuple((have - want) // 2 for have, want in zip(shape, size, strict=True))
    return (origin[0], origin[1], origin[2]), (size[0], size[1], size[2])


def read(labels: Labels, origin: Axis3, size: Axis3, *, coarsen: int = 1, phases: int) -> NDArray[np.uint8]:
    """Return a window of a label volume, coarsened by `majority`; what is left over at the far faces is dropped.

    Raises BadInput where a label is no phase.
    """
    z0, y0, x0 = origin
    depth, height, width = (length // coarsen * coarsen for length in size)
    slabs = []
    for z in range(z0, z0 + depth, SLAB * coarsen):
        top = min(z + SLAB * coarsen, z0 + depth)
        slab = labels[z:top, y0 : y0 + height, x0 : x0 + width]
        check_labels(slab, phases)
        slabs.append(slab.astype(np.uint8)[None] if coarsen == 1 else shares(slab, coarsen, phases))
    whole: NDArray[Any] = np.concatenate(slabs, axis=1)
    return whole[0] if coarsen == 1 else majority(whole)


def shares(labels: NDArray[Any], factor: int, phases: int) -> NDArray[np.float16]:
    """Return the share (label, z, y, x) of each label in each cube of `factor` voxels; shapes must divide."""
    z, y, x = (length // factor for length in labels.shape)
    cubes = labels.reshape(z, factor, y, factor, x, factor)
    return np.stack([(cubes == k).mean(axis=(1, 3, 5), dtype=np.float32).astype(np.float16) for k in range(phases)])


def majority(part: NDArray[np.float16]) -> NDArray[np.uint8]:
    """Return the label of the largest share (label, z, y, x), with a handicap for each that keeps the fractions.

    Plain majority would lose a quarter of a phase that is thinner than the cubes. Of equal shares that label goes
    first which is more frequent in the cubes around.
    """
    from scipy.ndimage import uniform_filter

    present = [k for k in range(len(part)) if part[k].any()]
    sharp = part[present].astype(np.float32)
    score = sharp + AROUND * np.stack([uniform_filter(share, 3, mode="nearest") for share in sharp])
    wanted = sharp.mean(axis=(1, 2, 3), dtype=np.float64)
    handicap = np.zeros(len(present), np.float32)
    for _ in range(BALANCING):
        winner = (score + handicap[:, None, None, None]).argmax(axis=0)
        missing = wanted - np.bincount(winner.ravel(), minlength=len(present)) / winner.size
        handicap = np.clip(handicap + GAIN * missing, -LARGEST, LARGEST).astype(np.float32)
    return np.asarray(np.array(present, np.uint8)[winner])


def check_shape(shape: Axis3) -> None:
    """Raise BadInput where a volume is too thin to be meshed."""
    if min(shape) < 2:
        raise BadInput(
            f"mesher: got {_by(shape)} voxels (z, y, x) to mesh, wanted at least 2 along each axis. "
            "Use a volume, not a slice, and a smaller 'coarsen'."
        )


def check_labels(labels: NDArray[Any], phases: int) -> None:
    """Raise BadInput where a label is no phase of the plan."""
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= phases:
        wrong = lowest if lowest < 0 else highest
        raise BadInput(
            f"mesher: label {wrong} occurs in the volume, but the plan has only {phases} phases (labels 0 to "
            f"{phases - 1}). Name all phases in the plan, or map the values with the segmenter 'labels'."
        )


def check_size(shape: Axis3, size: Axis3, coarsen: int, most: int) -> None:
    """Raise TooLarge where the window would have more than `most` tetrahedra, and say what would fit."""
    made = _tetrahedra(size, coarsen)
    if made <= most:
        return
    fits = [f for f in FACTORS if f > coarsen and _tetrahedra(size, f) <= most]
    coarser = f"coarsen: {fits[0]} ({_tetrahedra(size, fits[0]):,} tetrahedra)" if fits else "no 'coarsen' does"
    edge = int((most / TETRAHEDRA) ** (1 / 3)) * coarsen
    crop = [min(edge, length) for length in shape]
    raise TooLarge(
        f"mesher: {_by(size)} voxels (z, y, x), coarsened by {coarsen}, make {made:,} tetrahedra; max_tetrahedra is "
        f"{most:,}. What would fit: {coarser}, or crop_voxels: {crop}. Set one of them in the plan, or raise "
        "max_tetrahedra."
    )


def check_memory(size: Axis3, coarsen: int, bytes_a_voxel: int, limit: int | None) -> None:
    """Raise TooLarge where meshing a window needs more memory than the stage has."""
    needed = _tetrahedra(size, coarsen) // TETRAHEDRA * bytes_a_voxel
    if limit is None or needed <= limit:
        return
    fits = [f for f in FACTORS if f > coarsen and _tetrahedra(size, f) // TETRAHEDRA * bytes_a_voxel <= limit]
    coarser = f"coarsen: {fits[0]}" if fits else "no 'coarsen' does"
    edge = int((limit / bytes_a_voxel) ** (1 / 3)) * coarsen
    raise TooLarge(
        f"mesher: {_by(size)} voxels (z, y, x), coarsened by {coarsen}, need {needed / 2**20:,.0f} MiB of memory, the "
        f"limit is {limit / 2**20:,.0f} MiB. What would fit: {coarser}, or crop_voxels of {edge} each. Set one of them "
        "in the plan, or raise the limit with --max-memory."
    )


def _tetrahedra(size: Axis3, coarsen: int) -> int:
    z, y, x = (length // coarsen for length in size)
    return TETRAHEDRA * z * y * x


def _by(shape: Axis3) -> str:
    return " x ".join(str(length) for length in shape)
