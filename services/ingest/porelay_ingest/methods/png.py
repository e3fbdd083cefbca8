"""Reader of single images."""

from pathlib import Path

from porelay_ingest.files import head
from porelay_schemas.base import Params
from porelay_schemas.stacks import Stack


def png(path: Path, *, workers: int, params: Params) -> Stack | None:
    """PNG, JPEG and BMP images (.png, .jpg, .bmp): one slice.

    Raises BadInput for a damaged file and for colour.
    """
    from porelay_ingest.image_file import MAGIC, opened

    return opened(path) if head(path).startswith(MAGIC) else None
