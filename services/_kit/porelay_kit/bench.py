"""The workbench of a stage: it reads inputs and prepares one artifact on it, and knows nothing of broker or store."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import DTypeLike

from porelay_kit import volumes
from porelay_kit.plugins import Bound, bind
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store, Workspace
from porelay_kit.volumes import Volume
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.errors import BadInput, Stopped
from porelay_schemas.plan import MethodCall
from porelay_schemas.section import Section
from porelay_schemas.volumes import ArtifactRef, FileRef, Kind, StackRef, VolumeRef

TICK_S = 0.2


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `done` of `total` (voxels, steps, jobs), and figures worth watching."""

    stage: str
    done: float
    total: float
    seconds: float
    figures: Mapping[str, float]


def silent(progress: Progress) -> None:
    """Listen to nothing."""


@dataclass(frozen=True)
class Control:
    """How the outside is told, and how it interferes: `cancelled` ends the run, `finish` ends training early."""

    listen: Callable[[Progress], None] = silent
    cancelled: Callable[[], bool] = field(default=lambda: False)
    finish: Callable[[], bool] = field(default=lambda: False)


class Bench:
    """What a stage works with. All of its output becomes one artifact, seen when the stage has ended well."""

    def __init__(
        self, artifact: ArtifactRef, store: Store, workspace: Workspace, settings: Settings, control: Control
    ) -> None:
        self.artifact = artifact
        self.max_memory_bytes = settings.max_memory_bytes
        self.workers = settings.workers
        self._store, self._workspace, self._control = store, workspace, control
        self._began = time.monotonic()
        self._told = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._began

    @property
    def scratch(self) -> Path:
        """A folder that survives a kill of this very stage and key (checkpoints); gone after the commit."""
        return self._store.scratch(self.artifact.prefix)

    @property
    def stopping(self) -> bool:
        """Whether the user asked to end training with what has been learned."""
        return self._control.finish()

    def progress(self, done: float, total: float, **figures: float) -> None:
        """Tell how far the stage is (throttled); raise Stopped where the run was cancelled."""
        now = time.monotonic()
        if now - self._told < TICK_S and done < total:
            return
        self._told = now
        if self._control.cancelled():
            raise Stopped(f"{self.artifact.stage}: the run was cancelled. Start it again to continue.")
        self._control.listen(Progress(self.artifact.stage, done, total, self.seconds, figures))

    def bind(self, family: str, call: MethodCall) -> Bound:
        """Return a method with its validated parameters; raise UnknownMethod or BadInput."""
        return bind((family,), call)

    def volume(self, ref: VolumeRef) -> Volume:
        """Open a volume of a committed artifact, or one that this stage has made."""
        if ref.prefix == self.artifact.prefix:
            return Volume(ref, self._workspace.zarr_spec(ref.name))
        return Volume(ref, self._store.zarr_spec(f"{ref.prefix}/{ref.name}"))

    def file(self, where: ArtifactRef | FileRef, name: str = "") -> Path:
        """Return a local path of a file of a committed artifact, to be read only."""
        return self._store.local(f"{where.prefix}/{where.name if isinstance(where, FileRef) else name}")

    def stack(self, ref: StackRef) -> Path:
        """Return the local path of a dropped stack, a file or a folder; raise BadInput where it is gone."""
        path = Path(unquote(urlparse(ref.uri).path)) if ref.uri.startswith("file:") else self._store.local(ref.uri)
        if not path.exists():
            raise BadInput(f"stack {ref.name!r}: {path} is not there any more. Put it back, or drop it again.")
        return path

    def new_volume(self, name: str, *, kind: Kind, shape: Axis3, dtype: DTypeLike, voxel_um: VoxelUm) -> Volume:
        """Make an empty volume of this artifact; `name` ends in `.zarr`. Write whole shards to it."""
        ref = VolumeRef(
            prefix=self.artifact.prefix,
            name=name,
            kind=kind,
            shape=shape,
            dtype=np.dtype(dtype).name,
            voxel_um=voxel_um,
        )
        return volumes.create(ref, self._workspace.zarr_spec(name), slab_bytes=self.max_memory_bytes // 8)

    def path(self, name: str) -> Path:
        """Return where to write a file of this artifact."""
        path = self._workspace.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def ref(self, name: str) -> FileRef:
        """Return the reference of a file that has been written to `path(name)`."""
        path = self.path(name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRef(prefix=self.artifact.prefix, name=name, sha256=digest, size_bytes=path.stat().st_size)

    def write_json(self, name: str, value: object) -> FileRef:
        """Write a JSON file of this artifact."""
        self.path(name).write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return self.ref(name)

    def section(self, section: Section) -> None:
        """Write this stage's page of the report."""
        self.path("section.json").write_text(section.model_dump_json(indent=1), encoding="utf-8")

    def files(self) -> tuple[FileRef, ...]:
        """Return all files written so far, volumes left out."""
        folder = self._workspace.folder
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in found]
        return tuple(self.ref(name) for name in names if ".zarr/" not in name)
