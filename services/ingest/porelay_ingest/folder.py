"""Folders of slices."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from porelay_ingest import image_file, tiff_stack
from porelay_ingest.headers import check_file
from porelay_ingest.numbering import SUFFIXES, missing_numbers, natural
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import Stack, StackFacts


def opened(folder: Path, workers: int) -> Stack:
    """Open a folder of slices; raise BadInput where it is empty or mixes formats.

    That all slices have the size and type of the first is checked as each is read.
    """
    files = slice_files(folder)
    with closing(open_slice(files[0])) as first:
        facts = first.facts
    _check_single(files[0].name, facts)
    names = tuple(file.name for file in files)
    whole = replace(
        facts,
        format=f"{len(files)} {facts.format} slices",
        shape=(len(files), *facts.shape[1:]),
        names=names,
        missing=missing_numbers(names),
    )
    pool = ThreadPoolExecutor(workers)

    def read(z0: int, out: NDArray[Any]) -> None:
        for _ in pool.map(_reader(facts, files[0].name), files[z0 : z0 + len(out)], out):
            pass

    return Stack(whole, read, lambda: pool.shutdown(cancel_futures=True))


def slice_files(folder: Path) -> list[Path]:
    """Return the slices of a folder in natural order; hidden files and files of other kinds are left out."""
    visible = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    files = [file for file in visible if file.suffix.lower() in SUFFIXES]
    kinds = {SUFFIXES[file.suffix.lower()] for file in files}
    if not files:
        raise BadInput(
            f"folder {folder.name!r}: holds zero slices ({len(visible)} other files), wanted files that end in "
            f"{', '.join(SUFFIXES)}. Give the folder that holds the slices."
        )
    if len(kinds) > 1:
        raise BadInput(
            f"folder {folder.name!r}: mixes {' and '.join(sorted(kinds))}, wanted slices of one format. "
            "Move the others (previews?) elsewhere."
        )
    return sorted(files, key=lambda file: natural(file.name))


def open_slice(file: Path) -> Stack:
    """Open one file of a folder, its header checked."""
    check_file(file)
    return tiff_stack.opened(file, 1) if SUFFIXES[file.suffix.lower()] == "TIFF" else image_file.opened(file)


def check_slices(folder: Path) -> None:
    """Open every slice without decoding one; raise BadInput where one differs from the first or is damaged."""
    first, *others = slice_files(folder)
    with closing(open_slice(first)) as opened_:
        look = opened_.facts
    for file in others:
        with closing(open_slice(file)) as slice_:
            _check_alike(file.name, slice_.facts, first.name, look)


def _check_single(name: str, facts: StackFacts) -> None:
    if facts.shape[0] != 1:
        raise BadInput(
            f"slice {name!r}: holds {facts.shape[0]} slices, wanted one a file. "
            "Give the file itself instead of the folder."
        )


def _reader(first: StackFacts, first_name: str) -> Callable[[Path, NDArray[Any]], None]:
    def read(file: Path, plane: NDArray[Any]) -> None:
        with closing(open_slice(file)) as slice_:
            _check_alike(file.name, slice_.facts, first_name, first)
            slice_.read(0, plane[None])

    return read


def _check_alike(name: str, facts: StackFacts, first_name: str, first: StackFacts) -> None:
    _check_single(name, facts)
    if (facts.shape, facts.dtype) != (first.shape, first.dtype):
        raise BadInput(
            f"slice {name!r}: has {_look(facts)}, {first_name!r} has {_look(first)}; wanted slices of one "
            "size and type. Crop or convert them alike, or take out the odd one."
        )


def _look(facts: StackFacts) -> str:
    return f"{facts.shape[1]} x {facts.shape[2]} pixels (y, x) of {facts.dtype}"
