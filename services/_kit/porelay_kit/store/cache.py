"""Local copies of a bucket's objects: whole or absent, and never stale, since their names hold the ETags.

What they take is kept below a limit, and room is made before anything is fetched: what was asked for longest ago goes
first. Spared is what was asked for in the last minutes, and what a process works with, which holds a lock on it. Any
number of processes share a cache; of a copy that goes all the same a reader gets another.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from porelay_kit.store.base import ObjectInfo
from porelay_kit.store.folder import translate
from porelay_kit.store.keys import inside
from porelay_kit.store.s3 import Bucket, parallel
from porelay_kit.store.staging import staging
from porelay_schemas.errors import StoreUnavailable

KINDS = ("objects", "folders")
RECENT_S = 600.0
"""What was asked for so lately is spared: its reader may not have opened it yet."""

TRIES = 10
MOST_PINS = 256
"""Locks that a process holds at most: each takes an open file."""

FREE_BYTES = 2**30
"""What is left of the disk to others, however much the limit would allow."""


@dataclass(frozen=True)
class _Entry:
    """One copy: its folder, what it takes, and when it was asked for last."""

    path: Path
    size_bytes: int
    asked_at: float


class Cache:
    """What has been fetched from one bucket."""

    def __init__(self, root: Path, bucket: Bucket, limit_bytes: int) -> None:
        self._root, self._bucket, self._limit_bytes = root, bucket, limit_bytes
        self._pins: dict[Path, tuple[int, float]] = {}
        self._working = 0
        self._lock = Lock()

    def file(self, key: str) -> Path:
        """Return a local copy of an object as it is now."""

        def get(place: Path) -> Path:
            etag = self._bucket.download(key, place)
            return self._place("objects", key, etag)

        info = self._bucket.head(key)[0]
        return self._copy(self._place("objects", key, info.etag), info.size_bytes, get)

    def folder(self, prefix: str, objects: dict[str, ObjectInfo]) -> Path:
        """Return a local folder of these objects, given by their names in it."""
        listing = "\n".join(f"{name} {info.etag}" for name, info in sorted(objects.items()))
        path = self._place("folders", prefix, listing)

        def get(place: Path) -> Path:
            fetch(self._bucket, objects, place)
            return path

        return self._copy(path, sum(info.size_bytes for info in objects.values()), get)

    def _copy(self, path: Path, size_bytes: int, get: Callable[[Path], Path]) -> Path:
        """Return a copy that is there or that `get` makes, again where others that need room are faster to drop it."""
        for _ in range(TRIES):
            if self._taken(path):
                return path
            with suppress(FileNotFoundError), partial(self._root) as folder:
                self._make_room(size_bytes)
                path = get(folder / "copy")
                publish(folder / "copy", path)
            if self._taken(path):
                return path
        raise StoreUnavailable(
            f"cache {str(self._root)!r}: others at once dropped what was fetched. Raise PORELAY_CACHE_BYTES."
        )

    def begin_work(self) -> None:
        """Spare all that is asked for until `end_work` was called as often."""
        with self._lock:
            self._working += 1

    def end_work(self) -> None:
        """Note that one that works with copies has ended."""
        with self._lock:
            self._working -= 1

    def _place(self, kind: str, key: str, version: str) -> Path:
        digest = hashlib.sha256(f"{key}\n{version}".encode()).hexdigest()
        return self._root / kind / digest / key.rpartition("/")[2]

    def _taken(self, path: Path) -> bool:
        """Spare a copy and note that it was asked for; return whether it is there."""
        with self._lock, writing(self._root):
            self._unpin()
            try:
                self._pin(path.parent)
                with suppress(PermissionError):  # it is another user's
                    os.utime(path.parent)
            except FileNotFoundError:
                return False
            return path.exists()

    def _pin(self, entry: Path) -> None:
        """Lock a folder for as long as this process may work with it; looked for afterwards, it is there to stay."""
        if entry in self._pins and _same(self._pins[entry][0], entry):
            handle = self._pins[entry][0]
        else:
            handle = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_SH)
            self._release(entry)
        self._pins.pop(entry, None)
        self._pins[entry] = handle, time.monotonic()
        if len(self._pins) > MOST_PINS:
            self._release(next(iter(self._pins)))

    def _unpin(self) -> None:
        """Spare no longer what was asked for minutes ago, where nobody works now: who asks anew is done with it."""
        if self._working:
            return
        old = [entry for entry, (_, at) in self._pins.items() if time.monotonic() - at > RECENT_S]
        for entry in old:
            self._release(entry)

    def _release(self, entry: Path) -> None:
        if entry in self._pins:
            os.close(self._pins.pop(entry)[0])

    def _make_room(self, size_bytes: int) -> None:
        """Delete what was asked for longest ago until so much more fits."""
        entries = sorted(self._entries(), key=lambda entry: entry.asked_at)
        taken = sum(entry.size_bytes for entry in entries)
        free = shutil.disk_usage(self._root).free - FREE_BYTES
        excess = size_bytes + max(taken - self._limit_bytes, -free)
        before = time.time() - RECENT_S
        for entry in entries:
            if excess <= 0 or entry.asked_at > before:
                return
            if self._drop(entry.path):
                excess -= entry.size_bytes

    def _entries(self) -> Iterator[_Entry]:
        for kind in KINDS:
            with suppress(FileNotFoundError):
                for path in (self._root / kind).iterdir():
                    with suppress(FileNotFoundError):
                        yield _Entry(path, size_of(path), path.stat().st_mtime)

    def _drop(self, entry: Path) -> bool:
        """Delete a copy that nobody works with: at once out of sight, then file by file; return whether it was."""
        try:
            handle = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with partial(self._root) as grave:
                os.rename(entry, grave / "gone")
        except OSError:  # somebody works with it, or was faster
            return False
        finally:
            os.close(handle)
        return True


def _same(handle: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(handle), path.stat())


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, of which some may vanish meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


def fetch(bucket: Bucket, objects: dict[str, ObjectInfo], folder: Path) -> None:
    """Download objects into a folder, under the names given; raise StoreUnavailable where one changes meanwhile.

    Raises BadInput before anything is fetched where a name would leave the folder.
    """
    folder.mkdir(parents=True)
    places = {name: inside(folder, name) for name in objects}

    def one(name: str) -> None:
        places[name].parent.mkdir(parents=True, exist_ok=True)
        info = objects[name]
        if bucket.download(info.key, places[name]) != info.etag:
            raise StoreUnavailable(f"store {bucket.address.url}, {info.key!r}: was replaced while it was read.")

    parallel(one, objects)


@contextmanager
def writing(place: Path | None = None) -> Iterator[None]:
    """Turn the operating system's errors into ours; one that names no file gets the name of the place."""
    try:
        yield
    except OSError as error:
        if error.filename is None and place is not None:
            error.filename = str(place)
        raise translate(error, "cache", "PORELAY_CACHE") from error


@contextmanager
def partial(root: Path) -> Iterator[Path]:
    """A folder below `root` to prepare something in; gone afterwards, and after a kill with the next one."""
    with writing(root):
        (root / "partial").mkdir(parents=True, exist_ok=True)
        folder = staging(root / "partial", "fetch")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def publish(temporary: Path, path: Path) -> None:
    """Move a file or folder to its place; where somebody was faster, theirs is the same and stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(temporary, path)
    except OSError:
        if not path.is_dir():
            raise
        shutil.rmtree(temporary)
