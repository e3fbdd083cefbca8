"""References to what lies in the store: stacks, volumes, artifacts. Arrays never travel in messages."""

from typing import Annotated, Literal

from pydantic import Field

from porelay_schemas.base import Axis3, Closed, VoxelUm

Kind = Literal["grey", "labels"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StackRef(Closed):
    """A dropped stack: a file, or a folder of slices, where the store or the laptop has it."""

    uri: str
    name: str
    sha256: Sha256
    size_bytes: int


class VolumeRef(Closed):
    """A volume in the store: an OME-Zarr group `<prefix>/<name>` of shape (z, y, x).

    `grey` volumes hold uint8, uint16 or float32; `labels` hold uint8 indices into the plan's phases.
    """

    prefix: str
    name: str
    kind: Kind
    shape: Axis3
    dtype: str
    voxel_um: VoxelUm

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        z, y, x = self.shape
        return z * y * x


class ArtifactRef(Closed):
    """A committed artifact, `artifacts/<stage>/<key>`."""

    stage: str
    key: Sha256

    @property
    def prefix(self) -> str:
        """Where it lies in the store."""
        return f"artifacts/{self.stage}/{self.key}"


class FileRef(Closed):
    """A file of a committed artifact."""

    prefix: str
    name: str
    sha256: Sha256
    size_bytes: int
