"""A volume as a method sees it: read piece by piece, wherever it lies. Nothing here imports NumPy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from porelay_schemas.base import Axis3, VoxelUm

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


class Source(Protocol):
    """A volume (z, y, x) that is read piece by piece, by slices without steps."""

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of a voxel."""
        ...

    @property
    def voxel_um(self) -> VoxelUm:
        """Edge lengths of a voxel along (z, y, x), in micrometres."""
        ...

    def __getitem__(self, box: Any) -> "NDArray[Any]": ...

    def slabs(self) -> Iterator[tuple[int, "NDArray[Any]"]]:
        """Yield `(z0, slices)` in order; how many slices come at once is not the method's business."""
        ...


@dataclass(frozen=True)
class Frame:
    """Extent of a volume: shape (z, y, x), voxel edges in micrometres, NumPy name of the voxel type."""

    shape: Axis3
    voxel_um: VoxelUm
    dtype: str


@dataclass(frozen=True)
class InMemory:
    """An array (z, y, x) as a `Source`."""

    array: "NDArray[Any]"
    voxel_um: VoxelUm = (1.0, 1.0, 1.0)

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""
        z, y, x = self.array.shape
        return z, y, x

    @property
    def dtype(self) -> Any:
        """Type of a voxel."""
        return self.array.dtype

    def __getitem__(self, box: Any) -> "NDArray[Any]":
        part: NDArray[Any] = self.array[box]
        return part

    def slabs(self) -> Iterator[tuple[int, "NDArray[Any]"]]:
        """Yield the whole array."""
        yield 0, self.array


def frame_of(source: Source) -> Frame:
    """Return the frame of a volume."""
    return Frame(source.shape, source.voxel_um, str(source.dtype))


def full_box(shape: Axis3) -> Box:
    """Return the box of a whole volume."""
    z, y, x = shape
    return slice(0, z), slice(0, y), slice(0, x)
