"""What all readers need: the first bytes of a file, whole reads, and foreign errors in our words."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO
from zipfile import BadZipFile

from numpy.typing import NDArray

from porelay_schemas.errors import BadInput

DECODING = (
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    EOFError,
    TypeError,
    AssertionError,
    ArithmeticError,
    AttributeError,
    SyntaxError,
    struct.error,
    zlib.error,
    BadZipFile,
    TokenError,
)
"""What tifffile, imagecodecs, Pillow and zipfile raise on damaged files."""

MOST_RATIO = 500
"""Images pack a hundred times at most, label images somewhat tighter; beyond this a file is taken for a trap."""

HARMLESS_BYTES = 2**26
"""What unpacks to less than this does no harm, however tightly it is packed."""


def head(path: Path, count: int = 16) -> bytes:
    """Return the first bytes of a file, nothing for a folder."""
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return file.read(count)


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into BadInput; `what` names the file."""
    try:
        yield
    except DECODING as error:
        raise BadInput(f"{what}: cannot be decoded ({error}). The file is damaged: copy or export it again.") from error


def fill(file: BinaryIO, out: NDArray[Any], what: str) -> None:
    """Read as many bytes as `out` (C-contiguous) takes; raise BadInput where the file ends before."""
    view = memoryview(out.reshape(-1).view("uint8").data)
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise truncated(what, f"it ends {len(view):,} bytes too early")
        view = view[count:]


def truncated(what: str, detail: str) -> BadInput:
    """Return the error of a file that is shorter than it says."""
    return BadInput(f"{what}: the file is truncated: {detail}. Copy it again, or export it again.")


def plausible(what: str, declared: int, actual: int) -> None:
    """Raise BadInput where a compressed file declares far more bytes than images unpack to."""
    if declared > max(HARMLESS_BYTES, MOST_RATIO * actual):
        raise BadInput(
            f"{what}: declares {declared:,} bytes of voxels in a file of {actual:,} bytes, "
            f"wanted at most {MOST_RATIO:,} times the file. It is damaged or forged, or nearly empty: "
            "export it again, without compression where it is meant so."
        )
