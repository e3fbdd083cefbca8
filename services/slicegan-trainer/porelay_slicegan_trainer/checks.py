"""Whether data can be learned from at all: what cannot is refused, with what to do instead."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_nets import geometry
from porelay_schemas.errors import BadInput
from porelay_slicegan_trainer.data import AXES, MOST_PHASES, Axis, Images, cut, window_of
from porelay_slicegan_trainer.methods.slicegan import SliceganParams


def images_of(data: NDArray[Any] | Mapping[Axis, NDArray[Any]], phases: int | None, params: SliceganParams) -> Images:
    """Return training images, as views; raise BadInput where they cannot be learned from."""
    stacks = _stacks(data, params)
    check_edges(stacks, params)
    if phases is None:
        _check_finite(stacks)
        return Images(stacks, "grey", 1, window_of(stacks))
    for axis, stack in stacks.items():
        _check_labels(stack, axis, phases)
    return Images(stacks, "labels", phases)


def _stacks(data: NDArray[Any] | Mapping[Axis, NDArray[Any]], params: SliceganParams) -> dict[Axis, NDArray[Any]]:
    if not isinstance(data, Mapping):
        volume = np.asarray(data)
        if volume.ndim != 3:
            raise BadInput(
                f"training volume: its shape is {volume.shape}, wanted (z, y, x). "
                'Give images as {"z": image}, by the axis that they lie across.'
            )
        return cut(volume, params.directions)
    wanted = set(AXES) if params.mode == "anisotropic" else set()
    if not data or not set(data) <= set(AXES) or not wanted <= set(data):
        raise BadInput(
            f"training images: got images across {sorted(data) or 'no axis'}, {params.mode} training wants "
            f"{'all of z, y and x' if wanted else 'z, y or x'}. Give one image, or a stack of them, an axis."
        )
    stacks = {axis: np.asarray(data[axis]) for axis in AXES if axis in data}
    return {axis: stack[None] if stack.ndim == 2 else stack for axis, stack in stacks.items()}


def check_edges(stacks: Mapping[Axis, NDArray[Any]], params: SliceganParams) -> None:
    """Raise BadInput where images are smaller than a patch; say which patch would fit."""
    edges = {axis: min(stack.shape[1:]) for axis, stack in stacks.items()}
    small = [axis for axis, edge in edges.items() if edge < params.patch_edge]
    if not small:
        return
    axis = small[0]
    rows, columns = stacks[axis].shape[1:]
    raise BadInput(
        f"training volume: it is smaller than the network's patch: slices across {axis} are {rows} x {columns} voxels, "
        f"wanted at least {params.patch_edge} x {params.patch_edge} (patch_edge). {_remedy(edges, small, params)}"
    )


def _remedy(edges: Mapping[Axis, int], small: list[Axis], params: SliceganParams) -> str:
    step = max(geometry.factor(len(params.generator_widths)), 2 * 2 ** len(params.critic_widths))
    fits = min(edges.values()) // step * step
    enough = [axis for axis in edges if axis not in small]
    advice = []
    if fits:
        advice.append(f"set patch_edge to {fits}")
    else:
        advice.append(f"use fewer generator and critic widths (with these, a patch has at least {step} voxels)")
    if enough and params.mode == "isotropic":
        advice.append(f"set directions to [{', '.join(enough)}], whose slices are large enough")
    advice.append("give a larger volume")
    return f"{'; or '.join(advice).capitalize()}."


def _check_labels(stack: NDArray[Any], axis: Axis, phases: int) -> None:
    where = f"training labels across {axis}"
    if not np.issubdtype(stack.dtype, np.integer):
        raise BadInput(f"{where}: they are {stack.dtype}, wanted whole numbers. Segment first, or train on grey.")
    found = _values(stack)
    if len(found) > MOST_PHASES or phases > MOST_PHASES:
        raise BadInput(
            f"{where}: {len(found)} different values and {phases} phases, at most {MOST_PHASES} can be learned. "
            "Grey images, or labels that JPEG has smeared, are no labels: segment them first, or train on grey."
        )
    outside = [value for value in found if not 0 <= value < phases]
    if outside:
        raise BadInput(
            f"{where}: they hold {outside}, wanted 0 to {phases - 1} for {phases} phases. "
            "Segment with the method 'labels', which maps values to phases."
        )
    if len(found) == 1:
        raise BadInput(
            f"{where}: only one phase is there, label {found[0]}. A generator of one phase has nothing to learn; "
            "look at the segmentation."
        )
    missing = sorted(set(range(phases)) - set(found))
    if missing:
        raise BadInput(
            f"{where}: {phases} phases are wanted, but no voxel has label {', '.join(map(str, missing))}. "
            "Take that phase out of the plan, or correct the segmentation."
        )


def _values(stack: NDArray[Any]) -> list[int]:
    if stack.dtype != np.uint8:
        return [int(value) for value in np.unique(stack)]
    counts = np.zeros(256, dtype=np.int64)
    for image in stack:
        counts += np.bincount(image.ravel(), minlength=256)
    return [int(value) for value in np.flatnonzero(counts)]


def _check_finite(stacks: Mapping[Axis, NDArray[Any]]) -> None:
    for axis, stack in stacks.items():
        bad = 0 if np.issubdtype(stack.dtype, np.integer) else int(stack.size - np.isfinite(stack).sum())
        if bad:
            raise BadInput(
                f"training volume across {axis}: {bad} of {stack.size} values are NaN or infinite. "
                "Crop or fill them before training."
            )
