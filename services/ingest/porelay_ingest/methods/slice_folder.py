"""Reader of folders of slices."""

from pathlib import Path

from porelay_schemas.base import Params
from porelay_schemas.stacks import Stack


def slices(path: Path, *, workers: int, params: Params) -> Stack | None:
    """Folders of slices, one image a file (.tif, .tiff, .png, .jpg, .bmp), in natural order of their names.

    Numbers that are absent from the names are told as missing. Raises BadInput for an empty folder, mixed formats,
    and slices that differ in size or type.
    """
    if not path.is_dir():
        return None
    from porelay_ingest.folder import opened

    return opened(path, workers)
