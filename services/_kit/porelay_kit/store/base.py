"""What a store must do. Keys are relative paths with '/'; a write is seen whole or not at all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

Sent = Callable[[int], None]
"""Is told of so many more bytes."""


def untold(count: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows of an object; the ETag changes with the content."""

    key: str
    size_bytes: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Garbage:
    """What a killed worker left half done: an attempt that nobody commits, say; `modified` when last touched."""

    key: str
    kind: str
    size_bytes: int
    modified: datetime


class Workspace(Protocol):
    """Where one worker prepares one artifact. Nobody sees any of it before `commit`."""

    folder: Path
    """A local folder for its files."""

    def zarr_spec(self, name: str) -> dict[str, Any]:
        """Return the tensorstore `kvstore` of an array of the artifact."""

    def commit(self, manifest: bytes) -> bool:
        """Publish the artifact, its manifest last; return False where somebody else already had."""

    def abandon(self) -> None:
        """Delete what was prepared."""


class Store(Protocol):
    """A place for objects and arrays: a folder, or an S3 bucket.

    All of it raises StoreUnavailable where the place does not answer or has no room, and KeyError for a key that is
    not there.
    """

    @property
    def url(self) -> str:
        """Where it is, without secrets."""

    def read(self, key: str) -> bytes:
        """Return an object."""

    def write(self, key: str, data: bytes) -> None:
        """Write an object, replacing it."""

    def write_new(self, key: str, data: bytes) -> bool:
        """Write an object unless it is there; return whether it was written."""

    def exists(self, key: str) -> bool:
        """Return whether an object is there."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix (a folder), sorted."""

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects under a prefix (a folder), sorted by key."""

    def beginning(self, start: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin so, be it in the middle of a name, sorted by key; none of an artifact."""

    def upload(self, path: Path, key: str, sent: Sent = untold) -> None:
        """Write a local file to an object, replacing it; of any size. `sent` is told of bytes as they go."""

    def delete(self, prefix: str) -> None:
        """Delete an object, or everything under a prefix; what is not there is no error."""

    def local(self, key: str) -> Path:
        """Return a local path with an object's content, to be read only."""

    def local_folder(self, prefix: str) -> Path:
        """Return a local folder with all objects under a prefix, to be read only; KeyError where there are none.

        Raises BadInput where an object's name would leave that folder.
        """

    def zarr_spec(self, key: str) -> dict[str, Any]:
        """Return the tensorstore `kvstore` of a committed array."""

    def begin(self, prefix: str) -> Workspace:
        """Return a workspace for the artifact that is to appear under `prefix`."""

    def scratch(self, prefix: str) -> Path:
        """Return a folder that survives a killed worker: checkpoints of the unfinished artifact."""

    def keep_scratch(self, prefix: str) -> None:
        """Make what lies in that folder now survive this machine, too."""

    def drop_scratch(self, prefix: str) -> None:
        """Delete that folder."""

    def sweep(self, older_than_s: float, *, dry_run: bool = False) -> Sequence[Garbage]:
        """Delete what killed workers left half done and nobody has touched for so long; return what it was.

        Nothing that is committed is touched. Give more than the longest stage takes, and the longest outage lasts.
        """
