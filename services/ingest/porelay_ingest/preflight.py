"""The check of a dropped stack before its run is started: every header is opened, nothing is decoded."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from porelay_ingest import sandbox
from porelay_ingest.headers import check_links
from porelay_schemas.base import Axis3
from porelay_schemas.errors import TooLarge

SECONDS_A_FILE = 0.05


def preflight(path: Path, name: str, max_memory_bytes: int, limits: sandbox.Limits = sandbox.COMMON) -> None:
    """Check a file or folder from outside, in a process of its own; raise BadInput or TooLarge, in words."""
    check_links(path)
    files = sum(1 for _ in path.iterdir()) if path.is_dir() else 1
    patience = sandbox.Limits(limits.memory_bytes, limits.seconds + SECONDS_A_FILE * files)
    sandbox.call(f"{__name__}:look", str(path), name, str(max_memory_bytes), what=name, limits=patience)


def look(path: str, name: str, max_memory_bytes: str) -> dict[str, Any]:
    """Open a stack and every slice of it; return its facts.

    Raises BadInput where it is damaged or nothing that Porelay reads, TooLarge where one slice exceeds the memory.
    """
    import numpy as np

    from porelay_ingest.folder import check_slices
    from porelay_ingest.readers import open_path

    place = Path(path)
    with closing(open_path(place, name, 1)) as stack:
        facts = stack.facts
    _check_memory(name, facts.shape, np.dtype(facts.dtype).itemsize, int(max_memory_bytes))
    if place.is_dir():
        check_slices(place)
    return asdict(facts)


def _check_memory(name: str, shape: Axis3, item: int, most: int) -> None:
    nbytes = shape[1] * shape[2] * item
    if nbytes > most:
        raise TooLarge(
            f"{name}: one slice of {shape[1]} x {shape[2]} pixels takes {nbytes:,} bytes, a stage may use {most:,}. "
            "Crop the slices, or raise PORELAY_MAX_MEMORY_BYTES of the ingest workers."
        )
