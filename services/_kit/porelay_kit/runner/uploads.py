"""Putting a stack into the inbox: under a name that nobody else has, what belongs to it first, the stack last."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from porelay_kit import planning
from porelay_kit.runner import drops
from porelay_kit.runner.state import RunState, content_files, file_digest, folder_digest, identity, run_id_for
from porelay_kit.store.base import Sent, Store, untold
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Plan
from porelay_schemas.planes import PlaneAxis, check
from porelay_schemas.volumes import StackRef

SENDERS = 8
"""Slices that are sent at once."""


@dataclass(frozen=True)
class Upload:
    """A file or folder of slices of this machine, and what it is called in the inbox, relative to the plan's folder."""

    path: Path
    name: str
    digests: dict[str, str]
    """SHA-256 of its files, by their path relative to it; `""` for a single file."""

    @classmethod
    def of(cls, path: Path, name: str, read: Sent = untold) -> "Upload":
        """Read a file or folder; raise BadInput where there is nothing to read."""
        path, files = _files(path)
        named = {"" if file == path else file.relative_to(path).as_posix(): file for file in files}
        return cls(path, name, {inner: file_digest(file, read) for inner, file in named.items()})

    @property
    def ref(self) -> StackRef:
        """The reference that the intake makes of it."""
        size = sum(self.local(inner).stat().st_size for inner in self.digests)
        sha256 = folder_digest(self.digests) if self.is_folder else self.digests[""]
        return StackRef(uri=self.path.resolve().as_uri(), name=self.name, sha256=sha256, size_bytes=size)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of slices."""
        return "" not in self.digests

    def key(self, inner: str) -> str:
        """Return the name of one of its files in the inbox."""
        return f"{self.name}/{inner}" if inner else self.name

    def local(self, inner: str) -> Path:
        """Return the path of one of its files on this machine."""
        return self.path / inner if inner else self.path

    def sums(self) -> dict[str, str]:
        """Return the digests of its files by their names in the inbox."""
        return {self.key(inner): digest for inner, digest in self.digests.items()}


@dataclass(frozen=True)
class Drop:
    """A stack that is to lie in the inbox, with all that belongs to it."""

    plan: Plan
    stack: Upload
    truth: Upload | None = None
    planes: Mapping[PlaneAxis, Upload] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What tells it from others of its name."""
        return identity(self.plan, *self._refs)

    @property
    def _refs(self) -> tuple[StackRef, StackRef | None, dict[PlaneAxis, StackRef]]:
        planes = {axis: plane.ref for axis, plane in self.planes.items()}
        return self.stack.ref, self.truth.ref if self.truth else None, planes

    @property
    def beside(self) -> tuple[Upload, ...]:
        """The images that lie beside the stack."""
        return (*([self.truth] if self.truth else []), *self.planes.values())

    @property
    def folder(self) -> str:
        """The plan's folder in the inbox."""
        return f"{drops.INBOX}/{self.plan.name}"

    @property
    def key(self) -> str:
        """Where the stack lies in the store."""
        return f"{self.folder}/{self.stack.name}"

    @property
    def run_id(self) -> str:
        """The run that the intake makes of it."""
        return run_id_for(self.plan, *self._refs)

    @property
    def claim(self) -> bytes:
        """The checksums of all of it: who writes them first has the name."""
        sums = self.stack.sums()
        for image in self.beside:
            sums |= image.sums()
        sums[self.stack.name + drops.PLAN] = drops.digest(self.recipe)
        return drops.sums_text(sums).encode()

    @property
    def recipe(self) -> bytes:
        """The plan as it lies beside the stack."""
        return planning.dump(self.plan).encode()

    def called(self, name: str) -> "Drop":
        """Return the same under another name."""
        truth = self.truth and replace(self.truth, name=drops.part_name(name, drops.TRUTH, self.truth.path.name))
        planes = {
            axis: replace(plane, name=drops.part_name(name, drops.PLANE + axis, plane.path.name))
            for axis, plane in self.planes.items()
        }
        return replace(self, stack=replace(self.stack, name=name), truth=truth, planes=planes)


def _files(path: Path) -> tuple[Path, list[Path]]:
    path = path.expanduser()
    return path, content_files(path)


def size_of(*paths: Path) -> int:
    """Return the bytes of files and folders of slices; raise BadInput where there is nothing to read."""
    return sum(file.stat().st_size for path in paths for file in _files(path)[1])


def drop_of(
    plan: Plan,
    stack: Path,
    truth: Path | None,
    planes: Mapping[PlaneAxis, Path] = MappingProxyType({}),
    *,
    read: Sent = untold,
) -> Drop:
    """Read the files of a drop; raise BadInput where they cannot be read or hold nothing, or do not fit the plan."""
    check(plan, planes)
    name = drops.key_name(stack.expanduser().resolve().name)
    images = {axis: Upload.of(path, "", read) for axis, path in planes.items()}
    known = Upload.of(truth, "", read) if truth else None
    drop = Drop(plan, Upload.of(stack, name, read), known, images).called(name)
    if not drop.stack.ref.size_bytes:
        raise BadInput(f"stack {str(stack)!r}: 0 bytes, wanted an image stack. Check that it was written to its end.")
    return drop


def put(store: Store, drop: Drop, sent: Sent = untold) -> tuple[Drop, bool]:
    """Upload a drop unless it is there; return it under the name that it has got, and whether it was new.

    `sent` is told of bytes as they go, from several threads.

    A name that another stack, or the same under another plan, has is given a digest: `stack-1a2b3c4d.tif`.
    """
    name = drop.stack.name
    candidates = [drop.called(each) for each in (name, drops.with_identity(name, drop.identity))]
    for candidate in candidates:
        if _run_of(store, candidate):
            return candidate, False
    for candidate in candidates:
        first = _claimed(store, candidate)
        if first is not None:
            _upload(store, candidate, {} if first else _there(store, candidate), sent)
            return candidate, first
    raise BadInput(f"drop {candidates[-1].key!r}: the inbox has another stack of that name. Rename the file.")


def _run_of(store: Store, drop: Drop) -> bool:
    """Return whether the run of a drop was begun from the inbox, and what it needs is still there."""
    state = RunState(store, drop.run_id)
    if not store.exists(f"{state.prefix}/run.json"):
        return False
    uri = state.run().stack.uri
    return uri == drop.key and (bool(state.notes().done) or _lies(store, uri))


def _lies(store: Store, key: str) -> bool:
    return store.exists(key) or next(iter(store.list(key)), None) is not None


def _claimed(store: Store, drop: Drop) -> bool | None:
    """Take the name of a drop: True where nobody had it, False where the same drop has, None where another has."""
    key = drop.key + drops.SUMS
    if not store.exists(key) and (_lies(store, drop.key) or store.exists(drop.key + drops.PLAN)):
        return None
    if store.write_new(key, drop.claim):
        return True
    return False if store.read(key) == drop.claim else None


def _there(store: Store, drop: Drop) -> dict[str, int]:
    """Return the sizes of what an upload that was broken off has left."""
    return {one.key: one.size_bytes for one in store.beginning(drop.key)}


def _upload(store: Store, drop: Drop, there: dict[str, int], sent: Sent) -> None:
    """Write what lies beside it, the plan, the stack, in this order; its last object says that all of it is there."""
    store.delete(drop.key + drops.REJECTED)
    for image in drop.beside:
        _send(store, drop.folder, image, there, sent)
    store.write(drop.key + drops.PLAN, drop.recipe)
    _send(store, drop.folder, drop.stack, there, sent)


def _send(store: Store, folder: str, upload: Upload, there: dict[str, int], sent: Sent) -> None:
    sizes = {inner: upload.local(inner).stat().st_size for inner in upload.digests}
    missing = [inner for inner, size in sizes.items() if there.get(f"{folder}/{upload.key(inner)}") != size]
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda inner: store.upload(upload.local(inner), f"{folder}/{upload.key(inner)}", sent), missing))
    if upload.is_folder:
        files = {inner: (sizes[inner], digest) for inner, digest in upload.digests.items()}
        store.write(f"{folder}/{upload.name}/{drops.COMPLETE}", drops.marker(files))
