"""A plain folder as a store: the laptop's."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from porelay_kit.store import garbage
from porelay_kit.store.base import Garbage, ObjectInfo, Sent, untold
from porelay_kit.store.keys import checked
from porelay_kit.store.staging import staging
from porelay_schemas.errors import BadInput, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def _translated(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the operating system's errors into ours; KeyError where there is no such object."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FileNotFoundError as error:
            raise KeyError(str(error.filename)) from error
        except OSError as error:
            raise translate(error) from error

    return wrapper


def translate(error: OSError, place: str = "home", option: str = "--home") -> Exception:
    """Return what an OSError of the home folder, or of another place of ours, means to the user."""
    where = f"{place} {error.filename!r}"
    if error.errno in _FULL:
        return StoreUnavailable(
            f"{where}: the disk is full. Free some space, or give another place with {option}; "
            "then run the same command again, it continues where it was."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return BadInput(f"{where}: a file is in the way, not a folder. Give another one with {option}.")
    if error.errno in _READ_ONLY:
        return BadInput(f"{where}: not writable ({error.strerror}). Give a folder of yours with {option}.")
    return error


class FolderStore:
    """Objects are files; a write goes to a temporary name beside the target and is renamed, so it is seen whole."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @property
    def url(self) -> str:
        """The folder's path."""
        return str(self.home)

    def _path(self, key: str) -> Path:
        return self.home.joinpath(*checked(key).split("/"))

    @_translated
    def read(self, key: str) -> bytes:
        """Return an object."""
        return self._path(key).read_bytes()

    @_translated
    def write(self, key: str, data: bytes) -> None:
        """Write an object, replacing it."""
        path = self._path(key)
        _make(path.parent)
        os.replace(_temporary(path, data), path)
        _sync(path.parent)

    @_translated
    def write_new(self, key: str, data: bytes) -> bool:
        """Write an object unless it is there; return whether it was written."""
        path = self._path(key)
        _make(path.parent)
        temporary = _temporary(path, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        _sync(path.parent)
        return True

    @_translated
    def exists(self, key: str) -> bool:
        """Return whether an object is there."""
        return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix, sorted."""
        return (info.key for info in self.objects(prefix))

    @_translated
    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects under a prefix, sorted by key; the ETag tells time and size."""
        root = self._path(prefix.rstrip("/"))
        files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".tmp-")]
        found = {path.relative_to(self.home).as_posix(): path for path in files}
        return _infos((key, found[key]) for key in sorted(found))

    def beginning(self, start: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin so, sorted by key."""
        parent, _, name = start.rpartition("/")
        folder = self._path(parent)
        places = [path for path in folder.glob("*") if path.name.startswith(name)]
        alone = [path.relative_to(self.home).as_posix() for path in places if path.is_file()]
        below = [
            info for path in places if path.is_dir() for info in self.objects(path.relative_to(self.home).as_posix())
        ]
        kept = (key for key in alone if not key.rpartition("/")[2].startswith(".tmp-"))
        files = [*_infos((key, self._path(key)) for key in kept)]
        return iter(sorted(files + below, key=lambda info: info.key))

    @_translated
    def upload(self, path: Path, key: str, sent: Sent = untold) -> None:
        """Copy a file into the store, replacing the object."""
        target = self._path(key)
        _make(target.parent)
        os.replace(_copy(path, target, sent), target)
        _sync(target.parent)

    @_translated
    def delete(self, prefix: str) -> None:
        """Delete an object, or everything under a prefix."""
        path = self._path(prefix.rstrip("/"))
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @_translated
    def local(self, key: str) -> Path:
        """Return the object's own path."""
        path = self._path(key)
        path.stat()
        return path

    @_translated
    def local_folder(self, prefix: str) -> Path:
        """Return the folder itself; raise BadInput where a link in it leads out of it."""
        folder = self._path(prefix.rstrip("/"))
        if not folder.is_dir():
            raise KeyError(prefix)
        root = folder.resolve()
        for path in folder.rglob("*"):
            if not path.resolve().is_relative_to(root):
                raise BadInput(
                    f"folder {str(folder)!r}: {path.name!r} is a link to elsewhere. Put the file itself there."
                )
        return folder

    def zarr_spec(self, key: str) -> dict[str, Any]:
        """Return the tensorstore `kvstore` of an array."""
        return {"driver": "file", "path": str(self._path(key)) + "/"}

    @_translated
    def begin(self, prefix: str) -> "FolderWorkspace":
        """Return a workspace under `staging/`; what killed workers of this machine left there for `prefix` goes."""
        root = self._path("staging")
        _make(root)
        folder = staging(root, prefix)
        return FolderWorkspace(folder, self._path(prefix))

    @_translated
    def scratch(self, prefix: str) -> Path:
        """Return the folder for checkpoints of the unfinished artifact."""
        path = self._path(f"scratch/{prefix}")
        _make(path)
        return path

    def keep_scratch(self, prefix: str) -> None:
        """Do nothing: the folder is the store's own."""

    @_translated
    def drop_scratch(self, prefix: str) -> None:
        """Delete that folder."""
        shutil.rmtree(self._path(f"scratch/{prefix}"), ignore_errors=True)

    @_translated
    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> Sequence[Garbage]:
        """Delete old folders of `staging/` that no living process of this machine fills, and half-written files."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        found = [one for one in garbage.of_folder(self.home) if one.modified < before]
        for one in found if not dry_run else []:
            garbage.delete(self.home, one)
        return found


class FolderWorkspace:
    """A folder beside the artifacts that the commit renames into place."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self._target = target

    def zarr_spec(self, name: str) -> dict[str, Any]:
        """Return the tensorstore `kvstore` of an array of the artifact."""
        return {"driver": "file", "path": f"{self.folder / name}/"}

    @_translated
    def commit(self, manifest: bytes) -> bool:
        """Write the manifest, then rename the folder to its place; False where that is taken."""
        path = self.folder / "manifest.json"
        with path.open("wb") as file:
            _put(file, manifest, path)
        try:
            _renamed(self.folder, self._target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            self.abandon()
            return False
        _sync(self._target.parent)
        return True

    def abandon(self) -> None:
        """Delete what was prepared."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _renamed(folder: Path, target: Path) -> None:
    """Rename a folder; where the place's parent is not there yet, make it."""
    try:
        os.rename(folder, target)
    except FileNotFoundError:
        _make(target.parent)
        os.rename(folder, target)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # places that are no real file system refuse in this way
        raise translate(PermissionError(errno.EACCES, "no folder can be made there", error.filename)) from error


def _temporary(path: Path, data: bytes) -> Path:
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _put(file, data, path)
    except OSError:
        Path(name).unlink()
        raise
    os.chmod(name, 0o644)
    return Path(name)


def _put(file: IO[bytes], data: bytes, path: Path) -> None:
    """Write bytes and wait until the disk has them; an error names the path."""
    try:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _copy(source: Path, target: Path, sent: Sent) -> Path:
    """Return a temporary copy beside the target, on the disk."""
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file, source.open("rb") as content:
            while part := content.read(2**20):
                file.write(part)
                sent(len(part))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        Path(name).unlink()
        raise
    os.chmod(name, 0o644)
    return Path(name)


def _infos(found: Iterable[tuple[str, Path]]) -> Iterator[ObjectInfo]:
    """Yield what is known of each, those left out that somebody has deleted meanwhile."""
    for key, path in found:
        with suppress(FileNotFoundError):
            yield _info(key, path)


def _info(key: str, path: Path) -> ObjectInfo:
    stat = path.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return ObjectInfo(key, stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_size:x}", modified)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
