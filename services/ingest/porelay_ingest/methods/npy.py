"""Reader of NumPy arrays."""

from pathlib import Path

from porelay_ingest import array_file
from porelay_ingest.files import head
from porelay_schemas.base import Params
from porelay_schemas.stacks import Stack


def npy(path: Path, *, workers: int, params: Params) -> Stack | None:
    """NumPy arrays (.npy, .npz) of two or three axes, (y, x) or (z, y, x); never unpickled.

    Raises BadInput for objects, and for a header that declares more than the file holds.
    """
    magic = head(path)
    if magic.startswith(b"\x93NUMPY"):
        return array_file.opened_npy(path)
    if magic.startswith(b"PK\x03\x04"):
        return array_file.opened_npz(path)
    return None
