"""Whether a drop is all there. An event says that one object came, never that all have.

A file is complete when it is seen: an upload is seen whole. A folder is complete by its marker (`_complete.json` with
names, sizes and digests, or with a number of slices; or an empty `.done`), by checksums that name its slices, by a
number of slices in the file of its plan (`count: 1000`), and else when nothing has changed for a while and no number
is missing in the names.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field, ValidationError

from porelay_ingest.intake.drops import Drop
from porelay_ingest.numbering import SUFFIXES, missing_numbers, natural, slice_numbers
from porelay_kit.runner.state import MARKERS, counts
from porelay_schemas.base import Closed
from porelay_schemas.errors import BadInput
from porelay_schemas.volumes import Sha256

COMPLETE, DONE = MARKERS
MOST_NAMED = 12


class Entry(Closed):
    """A file of a folder, as its marker has it."""

    name: str
    size_bytes: int
    sha256: Sha256 | None = None


class Marker(Closed):
    """`_complete.json`: all files of a folder, or only their number."""

    files: tuple[Entry, ...] | None = None
    count: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class Told:
    """What is known beforehand of a folder: from its marker, its checksums, its plan's file."""

    marker: Marker | None = None
    done: bool = False
    count: int | None = None
    names: Collection[str] = ()


@dataclass(frozen=True)
class Patience:
    """How long to wait: without change for a folder without marker, without change for any file, between two sweeps.

    An upload to a bucket is seen whole, a file that is being copied into a folder is not: that is what `settle_s` is
    for.
    """

    quiet_s: float = 120.0
    settle_s: float = 0.0
    sweep_s: float = 300.0


@dataclass(frozen=True)
class Waiting:
    """Not complete: why, and after how many seconds a look may find it so without anything having come."""

    text: str
    again_s: float | None = None


def marker(data: bytes, name: str) -> Marker:
    """Read a marker; raise BadInput where it is something else."""
    try:
        found = Marker.model_validate(json.loads(data))
    except (ValidationError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0]
        raise BadInput(
            f"{name}/{COMPLETE}: cannot be read ({problem}), wanted "
            '{"files": [{"name": ..., "size_bytes": ..., "sha256": ...}]} or {"count": ...}. Write it anew.'
        ) from error
    if found.files is None and found.count is None:
        raise BadInput(f"{name}/{COMPLETE}: names neither `files` nor a `count`. Write it anew.")
    return found


def judge(drop: Drop, told: Told, quiet_for_s: float, patience: Patience) -> Waiting | None:
    """Return why a drop has to wait, None where it is all there; `quiet_for_s` seconds have passed since it changed.

    Raises BadInput where a folder holds slices that its marker does not have.
    """
    hasty = _settling(drop, quiet_for_s, patience)
    if hasty or not drop.folder:
        return hasty
    if told.marker and told.marker.files is not None:
        return _by_marker(drop, told.marker.files)
    if told.done:
        return None
    wanted = told.count or (told.marker.count if told.marker else None)
    if wanted is not None:
        return _by_count(drop, wanted)
    if told.names:
        return _missing_names([name for name in told.names if name not in drop.names])
    return _by_silence(drop, quiet_for_s, patience)


def _settling(drop: Drop, quiet_for_s: float, patience: Patience) -> Waiting | None:
    """Empty files stand for an upload that has begun; files in a folder of this machine may still be growing."""
    empty = sorted(name for name, item in _content(drop).items() if not item.size_bytes)
    if empty and quiet_for_s < patience.quiet_s:
        return Waiting(f"waiting: {_some(empty)} empty so far", patience.quiet_s - quiet_for_s)
    if quiet_for_s < patience.settle_s:
        return Waiting("waiting: it has only just come", patience.settle_s - quiet_for_s)
    return None


def _content(drop: Drop) -> dict[str, Any]:
    if not drop.folder:
        return {drop.name: drop.objects[0]}
    return {name: item for name, item in drop.names.items() if counts(name)}


def slice_names(drop: Drop) -> list[str]:
    """Return the names of a folder's slices, in natural order."""
    suffixes = {name: PurePosixPath(name).suffix.lower() for name in _content(drop) if "/" not in name}
    return sorted((name for name, suffix in suffixes.items() if suffix in SUFFIXES), key=natural)


def _by_marker(drop: Drop, files: tuple[Entry, ...]) -> Waiting | None:
    there = _content(drop)
    listed = {entry.name for entry in files}
    strangers = [name for name in slice_names(drop) if name not in listed]
    if strangers:
        raise BadInput(
            f"{drop.name}: {_some(strangers)} not in its {COMPLETE}, wanted the slices that it names and no other. "
            f"Take them out, or write {COMPLETE} anew."
        )
    missing = [entry.name for entry in files if entry.name not in there]
    partly = [entry.name for entry in files if entry.name in there and there[entry.name].size_bytes != entry.size_bytes]
    if missing:
        return _missing_names(missing)
    return Waiting(f"waiting: {_some(partly)} not of the size that {COMPLETE} tells") if partly else None


def _missing_names(missing: Sequence[str]) -> Waiting | None:
    words = f"{len(missing)} slice{'s' * (len(missing) > 1)} missing"
    return Waiting(f"waiting: {words} ({_listed(missing)})") if missing else None


def _by_count(drop: Drop, wanted: int) -> Waiting | None:
    names = slice_names(drop)
    if len(names) > wanted:
        raise BadInput(f"{drop.name}: holds {len(names)} slices, {wanted} are announced. Correct one of the two.")
    if len(names) == wanted:
        return None
    gaps = f"; absent between those that are there: {_listed(_gaps(names))}" if _gaps(names) else ""
    return Waiting(f"waiting: {len(names)} of {wanted} slices are there{gaps}")


def _by_silence(drop: Drop, quiet_for_s: float, patience: Patience) -> Waiting | None:
    names = slice_names(drop)
    if gaps := _gaps(names):
        return _missing_names(gaps)
    if quiet_for_s < patience.quiet_s:
        slices = "1 slice" if len(names) == 1 else f"{len(names)} slices"
        text = f"waiting: {slices} so far; nothing may change for {patience.quiet_s:g} s"
        return Waiting(text, patience.quiet_s - quiet_for_s)
    return None


def _gaps(names: Sequence[str]) -> list[str]:
    """Return the numbers that are missing in the names, written as in the names."""
    missing = missing_numbers(names)
    if not missing:
        return []
    number = slice_numbers(names)[0]
    digits = next(part for part in reversed(re.findall(r"\d+", names[0])) if int(part) == number)
    return [str(value).zfill(len(digits) if digits.startswith("0") else 1) for value in missing]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _some(names: Sequence[str]) -> str:
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'}"
