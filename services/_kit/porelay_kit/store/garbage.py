"""What killed workers left in a store that is a folder."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR

from porelay_kit.store.base import Garbage
from porelay_kit.store.staging import maker_lives

HALF_WRITTEN = ("runs", "plans", "intake")
"""Where files are written under a temporary name; the inbox is the users' own."""


def of_folder(home: Path) -> Iterator[Garbage]:
    """Yield what lies in `staging/` and is not prepared by a living process of this machine, and temporary files."""
    for path in sorted((home / "staging").glob("*")):
        if not maker_lives(path):
            yield from _found(home, path, "attempt")
    for place in HALF_WRITTEN:
        for path in sorted((home / place).rglob(".tmp-*")):
            yield from _found(home, path, "half-written file")


def delete(home: Path, one: Garbage) -> None:
    """Delete it; whatever of it is gone already is no error."""
    path = home / one.key
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _found(home: Path, path: Path, kind: str) -> Iterator[Garbage]:
    """Yield it with all that is below, unless it vanishes meanwhile."""
    with suppress(FileNotFoundError):
        stats = [part.lstat() for part in (path, *path.rglob("*"))]
        size = sum(stat.st_size for stat in stats if not S_ISDIR(stat.st_mode))
        touched = datetime.fromtimestamp(max(stat.st_mtime for stat in stats), UTC)
        yield Garbage(path.relative_to(home).as_posix(), kind, size, touched)
