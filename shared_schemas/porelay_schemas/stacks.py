"""What a reader of stacks and a check of quality control keep to. Plugins of both families need no more than this.

A *reader* (family `reader`) is a function `(path, *, workers, params) -> Stack | None`: the opened stack, or None
where the file is not of its kind (it looks at the first bytes, not at the name). `path` is a file or a folder,
`workers` the threads it may decode with. It believes nothing that the file declares before it has compared it with
the file's size, and never unpickles. A damaged file is a BadInput. The first line of its docstring is what users
see in the list of known formats.

A *check* (family `check`) is a pure function `(sample, *, params) -> Finding | None`: None where it does not apply,
for example a check of grey levels on labels. It draws nothing: the stage draws the picture that it describes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.section import Verdict
from porelay_schemas.volumes import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _nothing() -> None: ...


@dataclass(frozen=True)
class StackFacts:
    """What a stack says of itself.

    `shape` is (z, y, x), one image being (1, y, x); `dtype` a NumPy name. `voxel_um` (z, y, x) has None where the
    file is silent, and `voxel_from` says where it stood. `names` are those of the slices, where each is a file;
    `missing` the numbers that are absent from a series of numbered slices. `white_is_zero`: low values are bright.
    """

    format: str
    shape: Axis3
    dtype: str
    voxel_um: tuple[float | None, float | None, float | None] = (None, None, None)
    voxel_from: str = ""
    names: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    white_is_zero: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """An opened stack.

    `read(z0, out)` fills `out` (slices, y, x), C-contiguous and of `facts.dtype`, with the slices from `z0` on; it
    is called with ascending `z0`, by one thread at a time, and raises BadInput where the file is damaged.
    """

    facts: StackFacts
    read: Callable[[int, "NDArray[Any]"], None]
    close: Callable[[], None] = _nothing


Reader = Callable[..., Stack | None]


@dataclass(frozen=True)
class SliceStatistics:
    """One value a slice, in the order of the slices; in those of pairs, the entry of the first slice is NaN."""

    mean: "NDArray[Any]"
    quantiles: "NDArray[Any]"
    """(z, 7): grey levels below which 1, 5, 25, 50, 75, 95 and 99 % of the slice lie."""
    digest: "NDArray[Any]"
    """(z,) int64: equal for equal slices."""
    shift_px: "NDArray[Any]"
    """(z, 2): by how many pixels (y, x) the slice lies beside the one before."""
    similarity: "NDArray[Any]"
    """(z,): correlation of the slice with the one before, after that shift; 1 for equal slices."""


@dataclass(frozen=True)
class Sample:
    """What checks look at: gathered in one pass over the stack, small whatever the stack's size.

    `levels` and `counts` are the histogram of the stored values: exact for integers, of a regular sample of the
    voxels for float32. `share_lowest` and `share_highest` are the fractions of voxels that have the lowest and the
    highest value. `planes` (n, y, x) are the middle parts of evenly spaced slices `planes_z`, at full resolution.
    """

    kind: Kind
    shape: Axis3
    voxel_um: VoxelUm
    dtype: str
    phases: int
    levels: "NDArray[Any]"
    counts: "NDArray[Any]"
    share_lowest: float
    share_highest: float
    slices: SliceStatistics
    planes: "NDArray[Any]"
    planes_z: "NDArray[Any]"
    names: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line through (x, y)."""

    label: str
    x: "NDArray[Any]"
    y: "NDArray[Any]"


@dataclass(frozen=True)
class Curves:
    """A picture of lines; `limits` are marked values of y."""

    lines: tuple[Line, ...]
    xlabel: str
    ylabel: str
    limits: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Counts:
    """A picture of a histogram; `marks` are marked values of x."""

    centres: "NDArray[Any]"
    counts: "NDArray[Any]"
    xlabel: str
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """Pictures (rows, columns) side by side, each with its title, in the plane of the slices."""

    images: tuple[tuple[str, "NDArray[Any]"], ...]


Picture = Curves | Counts | Images


@dataclass(frozen=True)
class Finding:
    """What a check found: a value against a threshold, a verdict, and in `meaning` what to do about it.

    `figures` are all the numbers behind it, for the record.
    """

    value: float | str | None
    threshold: str
    verdict: Verdict
    meaning: str
    picture: Picture | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


Check = Callable[..., Finding | None]
