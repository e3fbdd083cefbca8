"""Folders of unfinished work, here and in the bucket, so that another machine can go on with it."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from porelay_kit.store.base import ObjectInfo
from porelay_kit.store.cache import fetch, partial, writing
from porelay_kit.store.s3 import Bucket, parallel

Note = dict[str, tuple[str, int, int]]
"""What both sides had in common last: ETag, size and time (ns) of the local file, by name."""

OLD_S = 7 * 86400.0
"""What nobody has touched here for so long is another machine's by now, or nobody's; the bucket has what was kept."""


class Scratch:
    """The scratch folders of one machine.

    A folder is filled from the bucket when it is opened, unless the bucket still has what this machine last read or
    wrote there: then what lies here is at least as new, even after a kill.
    """

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self._root, self._bucket = root, bucket
        self._open: set[str] = set()

    def open(self, prefix: str) -> Path:
        """Return the folder, filled."""
        folder = self._root / prefix
        if prefix in self._open and folder.is_dir():
            return folder
        there = self._there(prefix)
        with writing(self._root):
            self._forget_old()
            folder.mkdir(parents=True, exist_ok=True)
            known = {name: entry[0] for name, entry in self._note(prefix).items()}
            if {name: info.etag for name, info in there.items()} != known:
                self._fill(prefix, there)
        self._open.add(prefix)
        return folder

    def keep(self, prefix: str) -> None:
        """Upload what is new, then delete from the bucket what is gone."""
        self._open.discard(prefix)
        folder = self._root / prefix
        with writing():
            folder.mkdir(parents=True, exist_ok=True)
            note, here = self._note(prefix), _stated(folder)

        def upload(name: str) -> None:
            note[name] = (self._bucket.upload(folder / name, f"scratch/{prefix}/{name}"), *here[name])

        try:
            parallel(upload, [name for name in here if name not in note or note[name][1:] != here[name]])
            gone = [name for name in note if name not in here]
            self._bucket.delete(f"scratch/{prefix}/{name}" for name in gone)
            for name in gone:
                del note[name]
        finally:
            self._write(prefix, note)

    def drop(self, prefix: str) -> None:
        """Delete the folder here and in the bucket."""
        self._open.discard(prefix)
        self._bucket.delete([info.key for info in self._there(prefix).values()])
        self._note_path(prefix).unlink(missing_ok=True)
        shutil.rmtree(self._root / prefix, ignore_errors=True)

    def _forget_old(self) -> None:
        """Delete old folders of this machine, which count for nothing in the cache's limit."""
        before_ns = (time.time() - OLD_S) * 1e9
        for folder in self._root.glob("*/*/*/"):
            prefix = folder.relative_to(self._root).as_posix()
            with suppress(FileNotFoundError):  # another process drops it
                touched = [folder.stat().st_mtime_ns, *(time_ns for _, time_ns in _stated(folder).values())]
                if prefix not in self._open and max(touched) < before_ns:
                    self._note_path(prefix).unlink(missing_ok=True)
                    shutil.rmtree(folder, ignore_errors=True)

    def _there(self, prefix: str) -> dict[str, ObjectInfo]:
        base = f"scratch/{prefix}/"
        return {info.key.removeprefix(base): info for info in self._bucket.objects(base)}

    def _fill(self, prefix: str, there: dict[str, ObjectInfo]) -> None:
        folder = self._root / prefix
        with partial(self._root.parent) as temporary:
            fetch(self._bucket, there, temporary / "scratch")
            self._note_path(prefix).unlink(missing_ok=True)
            shutil.rmtree(folder)
            os.rename(temporary / "scratch", folder)
        stated = _stated(folder)
        self._write(prefix, {name: (info.etag, *stated[name]) for name, info in there.items()})

    def _note_path(self, prefix: str) -> Path:
        return self._root / f"{prefix}.kept.json"

    def _note(self, prefix: str) -> Note:
        try:
            entries = json.loads(self._note_path(prefix).read_bytes())
        except FileNotFoundError:
            return {}
        return {name: (etag, size, time_ns) for name, (etag, size, time_ns) in entries.items()}

    def _write(self, prefix: str, note: Note) -> None:
        path = self._note_path(prefix)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(note))
        os.replace(temporary, path)


def _stated(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in sorted(found.items())}
