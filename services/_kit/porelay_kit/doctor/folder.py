"""Probes of a folder as the store."""

import errno
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from porelay_kit.doctor import clock, space, volume
from porelay_kit.doctor.finding import Answer, Excuse, Finding, examine, fail, ok, warn
from porelay_kit.store.folder import FolderStore, translate
from porelay_schemas.errors import PorelayError

SLOW_FSYNC_S = 0.1
ODD_NAME = "a b+c ü=%41&.txt"


def check(home: Path) -> list[Finding]:
    """Probe a folder in a sub-folder of its own; nothing is left behind."""
    with _bench(home) as folder:
        return examine(f"store {home}", folder, PROBES, EXCUSE)


@contextmanager
def _bench(home: Path) -> Iterator[Path]:
    """Yield the path of a folder that may be made; delete it, and `home` where that was not there before."""
    home = home.absolute()
    missing = [path for path in (home, *home.parents) if not path.exists()]
    folder = home / f"doctor-{uuid4().hex[:12]}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in missing:
            if path.is_dir():
                path.rmdir()


def writable(folder: Path) -> Answer:
    """Objects can be written, read, listed and deleted."""
    store = FolderStore(folder)
    store.write(f"some/{ODD_NAME}", b"one")
    store.write(f"some/{ODD_NAME}", b"two")
    read, listed = store.read(f"some/{ODD_NAME}"), list(store.list("some"))
    store.delete("some")
    if read != b"two" or listed != [f"some/{ODD_NAME}"] or store.exists(f"some/{ODD_NAME}"):
        return fail(f"what was written came back as {read!r}, listed as {listed}", "Use a local disk or NFS.")
    return ok("files can be written, replaced, listed and deleted, with blanks and UTF-8 in their names")


def space_left(folder: Path) -> Answer:
    """Room for stacks and results."""
    return space.left(shutil.disk_usage(folder).free, f"in {folder.parent}")


def flush(folder: Path) -> Answer:
    """How long it takes until a write is safe from a power cut."""
    seconds = statistics.median(_flushed(folder / "flush") for _ in range(5))
    seen = f"fsync takes {1000 * seconds:.1f} ms"
    if seconds > SLOW_FSYNC_S:
        return warn(seen, "Each stage pays it some ten times, no more; a local disk would be quicker.")
    return ok(seen)


def _flushed(path: Path) -> float:
    with path.open("wb") as file:
        file.write(os.urandom(4096))
        file.flush()
        began = time.monotonic()
        os.fsync(file.fileno())
        return time.monotonic() - began


def atomic_rename(folder: Path) -> Answer:
    """A result appears whole, and a second one does not replace it."""
    first, second, target = folder / "first", folder / "second", folder / "target"
    for path in (first, second):
        path.mkdir()
        (path / "manifest.json").write_text(path.name)
    os.rename(first, target)
    try:
        os.rename(second, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return ok("a folder is renamed at once, and one that is taken is refused")
    return fail(
        "a folder was renamed over another that had files in it",
        "Two workers could mix their results there. Use a local disk (ext4, xfs) or NFS for the store.",
    )


def hard_links(folder: Path) -> Answer:
    """Of several that write the same new object at once, one wins."""
    source, target = folder / "source", folder / "link"
    source.write_text("one")
    advice = "Runs could be written twice there. Use a local disk (ext4, xfs) or NFS for the store."
    try:
        os.link(source, target)
        os.link(source, target)
    except FileExistsError:
        return ok("a hard link is made once, the second is refused")
    except OSError as error:
        return fail(f"hard links cannot be made ({error.strerror})", advice)
    return fail("a hard link was made over a file that was there", advice)


def clock_skew(folder: Path) -> Answer:
    """The file server dates files as this machine would."""
    path = folder / "dated"
    path.touch()
    return clock.skew(path.stat().st_mtime - time.time())


def volumes(folder: Path) -> Answer:
    """An array written and read."""
    return volume.round_trip("doctor", FolderStore(folder).zarr_spec("doctor/probe.zarr"))


PROBES = (writable, space_left, flush, atomic_rename, hard_links, clock_skew, volumes)


def _answer(error: Exception) -> Answer:
    error = translate(error) if isinstance(error, OSError) else error
    if isinstance(error, PorelayError):
        return fail(str(error), "")
    return fail(f"{type(error).__name__}: {error}", "Look at the folder's mount options.")


EXCUSE = Excuse((OSError, PorelayError), _answer)
