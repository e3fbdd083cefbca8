"""Local copies of a bucket's objects: whole or absent, and never stale, since their names hold the ETags.

Nothing is deleted here: it grows with what is looked at, and an operator may empty the folder when no worker runs.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from porelay_kit.store.base import ObjectInfo
from porelay_kit.store.folder import translate
from porelay_kit.store.keys import inside
from porelay_kit.store.s3 import Bucket, parallel
from porelay_kit.store.staging import staging
from porelay_schemas.errors import StoreUnavailable


class Cache:
    """What has been fetched from one bucket."""

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self._root, self._bucket = root, bucket

    def file(self, key: str) -> Path:
        """Return a local copy of an object as it is now."""
        path = self._place("objects", key, self._bucket.head(key)[0].etag)
        if not path.is_file():
            with partial(self._root) as folder:
                etag = self._bucket.download(key, folder / "object")
                path = self._place("objects", key, etag)
                publish(folder / "object", path)
        return path

    def folder(self, prefix: str, objects: dict[str, ObjectInfo]) -> Path:
        """Return a local folder of these objects, given by their names in it."""
        listing = "\n".join(f"{name} {info.etag}" for name, info in sorted(objects.items()))
        path = self._place("folders", prefix, listing)
        if not path.is_dir():
            with partial(self._root) as folder:
                fetch(self._bucket, objects, folder / "objects")
                publish(folder / "objects", path)
        return path

    def _place(self, kind: str, key: str, version: str) -> Path:
        digest = hashlib.sha256(f"{key}\n{version}".encode()).hexdigest()
        return self._root / kind / digest / key.rpartition("/")[2]


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
def writing() -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise translate(error, "cache", "PORELAY_CACHE") from error


@contextmanager
def partial(root: Path) -> Iterator[Path]:
    """A folder below `root` to prepare something in; gone afterwards, and after a kill with the next one."""
    with writing():
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
