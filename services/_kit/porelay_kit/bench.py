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
from porelay_schemas.errors import BadInput, Stopped, TookTooLong
from porelay_schemas.plan import MethodCall
from porelay_schemas.section import Section
from porelay_schemas.volumes import ArtifactRef, FileRef, Kind, StackRef, VolumeRef

TICK_S = 0.2
SECONDS = ".seconds"
"""File of a scratch folder: how long the stage has worked so far, in slices and before kills."""


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
    """How the outside is told, and how it interferes: `cancelled` ends the run, `finish` ends training early.

    `computing` is called where a stage begins, not where its result is found. A training saves and hands over when it
    has worked for `slice_s`, or when the worker is `leaving`. Who holds a delivery meanwhile gives a stage `limit_s`.
    """

    listen: Callable[[Progress], None] = silent
    cancelled: Callable[[], bool] = field(default=lambda: False)
    finish: Callable[[], bool] = field(default=lambda: False)
    slice_s: float | None = None
    limit_s: float | None = None
    leaving: Callable[[], bool] = field(default=lambda: False)
    computing: Callable[[], None] = field(default=lambda: None)


class Bench:
    """What a stage works with. All of its output becomes one artifact, seen when the stage has ended well."""

    def __init__(
        self, artifact: ArtifactRef, store: Store, workspace: Workspace, settings: Settings, control: Control
    ) -> None:
        self.artifact = artifact
        self.max_memory_bytes = settings.max_memory_bytes
        self.workers = settings.workers
        self._store, self._workspace, self._control = store, workspace, control
        self._began = self._kept = time.monotonic()
        self._keep_every_s = settings.checkpoint_s
        self._told = self._earlier_s = 0.0
        self._scratch: Path | None = None

    @property
    def seconds(self) -> float:
        """Seconds that the stage has taken, with those before the checkpoint that it went on from."""
        return self._earlier_s + time.monotonic() - self._began

    @property
    def scratch(self) -> Path:
        """A folder that survives a kill of this very stage and key (checkpoints); gone after the commit."""
        if self._scratch is None:
            self._scratch = self._store.scratch(self.artifact.prefix)
            self._earlier_s = _seconds(self._scratch / SECONDS)
        return self._scratch

    @property
    def has_scratch(self) -> bool:
        """Whether the stage has looked into `scratch`; one that does not never has left anything there."""
        return self._scratch is not None

    @property
    def checkpoint_due(self) -> bool:
        """Whether it is long since a checkpoint was kept."""
        return time.monotonic() - self._kept >= self._keep_every_s

    def keep_scratch(self) -> None:
        """Make what lies in `scratch` now survive this machine, too; throttled, since that may be an upload."""
        if self.checkpoint_due:
            self.hand_over()

    def hand_over(self) -> None:
        """Make what lies in `scratch` survive this machine at once, where the stage has looked there at all."""
        if self._scratch is not None:
            (self._scratch / SECONDS).write_text(f"{self.seconds:.3f}")
            self._store.keep_scratch(self.artifact.prefix)
            self._kept = time.monotonic()

    @property
    def stopping(self) -> bool:
        """Whether the user asked to end training with what has been learned."""
        return self._control.finish()

    @property
    def slice_over(self) -> bool:
        """Whether a training should save and hand over now, by raising SliceOver."""
        over = self._control.slice_s is not None and time.monotonic() - self._began >= self._control.slice_s
        return over or self._control.leaving()

    def progress(self, done: float, total: float, **figures: float) -> None:
        """Tell how far the stage is (throttled).

        Raises Stopped where the run was cancelled, TookTooLong where the stage goes on beyond its limit.
        """
        now = time.monotonic()
        if now - self._told < TICK_S and done < total:
            return
        self._told = now
        if self._control.cancelled():
            raise Stopped(f"{self.artifact.stage}: the run was cancelled. Start it again to continue.")
        limit_s = self._control.limit_s
        if limit_s is not None and now - self._began > limit_s and done < total:
            raise TookTooLong(too_long(self.artifact.stage, limit_s, "PORELAY_STAGE_LIMIT_S"))
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
        path = self._dropped(ref)
        if not path.exists():
            raise BadInput(f"stack {ref.name!r}: {path} is not there any more. Put it back, or drop it again.")
        return path

    def _dropped(self, ref: StackRef) -> Path:
        if ref.uri.startswith("file:"):
            return Path(unquote(urlparse(ref.uri).path))
        try:
            return self._store.local(ref.uri) if self._store.exists(ref.uri) else self._store.local_folder(ref.uri)
        except KeyError as error:
            where = f"{ref.uri} is not in {self._store.url} any more"
            raise BadInput(f"stack {ref.name!r}: {where}. Put it back, or drop it again.") from error

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


def too_long(stage: str, limit_s: float, setting: str) -> str:
    """Return what is said of a stage that was not done within its limit."""
    return (
        f"{stage}: not done within {limit_s:g} s. Where it needs longer raise {setting}, then send it again "
        "(`porelay dlq replay`); else crop the stack, or choose cheaper methods."
    )


def _seconds(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
