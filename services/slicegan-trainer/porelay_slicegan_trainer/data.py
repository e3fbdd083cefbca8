"""Training images cut from a volume or given as such: views and integer indices, never copies of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.errors import BadInput

Axis = Literal["z", "y", "x"]
AXES: tuple[Axis, ...] = ("z", "y", "x")
PLANE: dict[Axis, tuple[Axis, Axis]] = {"z": ("y", "x"), "y": ("z", "x"), "x": ("z", "y")}
"""The axes along the rows' index and along the columns' index of a slice across an axis."""

MOST_PHASES = 8
MOST_GREY_VALUES = 2_000_000


@dataclass(frozen=True)
class Images:
    """Stacks of slices by the axis they lie across.

    `stacks[axis]` is (slices, rows, columns); rows and columns follow `PLANE[axis]`. Labels are 0 ... outputs - 1;
    grey values are mapped from `window` to 0 ... 1 when drawn.
    """

    stacks: Mapping[Axis, NDArray[Any]]
    kind: Literal["labels", "grey"]
    outputs: int
    window: tuple[float, float] | None = None

    @cached_property
    def directions(self) -> tuple[Axis, ...]:
        """The axes that there are slices across, in the order z, y, x."""
        return tuple(axis for axis in AXES if axis in self.stacks)

    def draw(self, axis: Axis, count: int, edge: int, rng: np.random.Generator) -> NDArray[Any]:
        """Return `count` crops (count, edge, edge) of slices across `axis`, at any place, all equally likely."""
        stack = self.stacks[axis]
        most = [size - part + 1 for size, part in zip(stack.shape, (1, edge, edge), strict=True)]
        corners = rng.integers(0, most, size=(count, 3))
        return np.stack([stack[z, y : y + edge, x : x + edge] for z, y, x in corners])

    def encode(self, crops: NDArray[Any]) -> NDArray[np.float32]:
        """Turn crops (b, e, e) into what the critic sees (b, outputs, e, e): one-hot phases, or grey 0 to 1."""
        if self.window is None:
            return np.ascontiguousarray(np.eye(self.outputs, dtype=np.float32)[crops].transpose(0, 3, 1, 2))
        low, high = self.window
        grey: NDArray[np.float32] = np.clip((crops[:, None].astype(np.float32) - low) / (high - low), 0, 1)
        return grey

    def classes(self) -> "Images":
        """Return labels as they are, and grey as four classes of equally many voxels: descriptors want classes."""
        if self.kind == "labels":
            return self
        thresholds = self.quartiles
        stacks = {axis: np.digitize(stack, thresholds).astype(np.uint8) for axis, stack in self.stacks.items()}
        return Images(stacks, "labels", len(thresholds) + 1)

    @cached_property
    def quartiles(self) -> tuple[float, ...]:
        """The quartiles of the grey values, of which a regular subset is looked at."""
        parts = [stack.ravel()[:: max(stack.size // MOST_GREY_VALUES, 1)] for stack in self.stacks.values()]
        return tuple(sorted({float(value) for value in np.quantile(np.concatenate(parts), (0.25, 0.5, 0.75))}))


def cut(volume: NDArray[Any], directions: Sequence[Axis]) -> dict[Axis, NDArray[Any]]:
    """Return views of a volume (z, y, x) as stacks of slices across each of `directions`."""
    place = {"z": 0, "y": 1, "x": 2}
    return {axis: np.moveaxis(volume, place[axis], 0) for axis in AXES if axis in directions}


def turned(crops: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Return crops (b, e, e), each flipped and turned at random: an isotropic material prefers none of the 8 ways."""
    turns = rng.integers(0, 8, size=len(crops))
    return np.stack([_turn(crop, int(turn)) for crop, turn in zip(crops, turns, strict=True)])


def _turn(crop: NDArray[Any], turn: int) -> NDArray[Any]:
    crop = crop.T if turn & 4 else crop
    return crop[:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def window_of(stacks: Mapping[Axis, NDArray[Any]]) -> tuple[float, float]:
    """Return the grey values that become 0 and 1: the range of the data; raise BadInput where it is empty."""
    low = min(float(stack.min()) for stack in stacks.values())
    high = max(float(stack.max()) for stack in stacks.values())
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise BadInput(
            f"training volume: its grey values run from {low:g} to {high:g}, wanted at least two finite ones. "
            "Check the stack and its normalisation."
        )
    return low, high
