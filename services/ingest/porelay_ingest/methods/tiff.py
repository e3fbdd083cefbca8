"""Reader of TIFF stacks."""

from pathlib import Path

from porelay_ingest.files import head
from porelay_schemas.base import Params
from porelay_schemas.stacks import Stack

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff(path: Path, *, workers: int, params: Params) -> Stack | None:
    """TIFF, BigTIFF, OME-TIFF and ImageJ stacks (.tif, .tiff), 1 to 64 bits a voxel.

    Colour images are read where all channels are equal. Raises BadInput for a truncated file, pages that differ,
    several channels or points in time.
    """
    if head(path)[:4] not in MAGIC:
        return None
    from porelay_ingest.tiff_stack import opened

    return opened(path, workers)
