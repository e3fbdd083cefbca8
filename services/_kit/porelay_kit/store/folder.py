"""A plain folder as a store: the laptop's."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from porelay_schemas.errors import BadInput, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_HOST = socket.gethostname()


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


def translate(error: OSError) -> Exception:
    """Return what an OSError of the home folder means to the user."""
    if error.errno in _FULL:
        return StoreUnavailable(
            f"home {error.filename!r}: the disk is full. Free some space, or give another place with --home; "
            "then run the same command again, it continues where it was."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return BadInput(f"home {error.filename!r}: a file is in the way, not a folder. Give another one with --home.")
    if error.errno in _READ_ONLY:
        reason = f"not writable ({error.strerror})"
        return BadInput(f"home {error.filename!r}: {reason}. Give a folder of yours with --home.")
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
        parts = key.split("/")
        if not key or any(part in ("", ".", "..") for part in parts):
            raise BadInput(f"store key {key!r}: wanted a relative path without '.' or '..'.")
        return self.home.joinpath(*parts)

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

    @_translated
    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix, sorted."""
        root = self._path(prefix.rstrip("/"))
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".tmp-"))
        return (path.relative_to(self.home).as_posix() for path in files)

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

    def zarr_spec(self, key: str) -> dict[str, Any]:
        """Return the tensorstore `kvstore` of an array."""
        return {"driver": "file", "path": str(self._path(key)) + "/"}

    @_translated
    def begin(self, prefix: str) -> "FolderWorkspace":
        """Return a workspace under `staging/`; what killed workers of this machine left there for `prefix` goes."""
        name = prefix.replace("/", "-")
        staging = self._path("staging")
        _make(staging)
        for left in staging.glob(f"{name}@{_HOST}@*"):
            if not _alive(int(left.name.split("@")[2])):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}@{_HOST}@{os.getpid()}@", dir=staging))
        folder.chmod(0o755)
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
        os.replace(_temporary(path, manifest), path)
        _make(self._target.parent)
        try:
            os.rename(self.folder, self._target)
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


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # places that are no real file system refuse in this way
        raise translate(PermissionError(errno.EACCES, "no folder can be made there", error.filename)) from error


def _temporary(path: Path, data: bytes) -> Path:
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        Path(name).unlink()
        error.filename = error.filename or str(path)
        raise
    os.chmod(name, 0o644)
    return Path(name)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
