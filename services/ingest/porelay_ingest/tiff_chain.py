"""The pages of a TIFF as its chain of directories tells them, walked with nothing but the file's own size trusted.

Source: TIFF 6.0 (Adobe, 1992), BigTIFF (2007).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from porelay_schemas.errors import BadInput

WIDTH, LENGTH, BITS, SAMPLES, SAMPLE_FORMAT = 256, 257, 258, 277, 339
COMPRESSION, PHOTOMETRIC, FILL_ORDER, PLANAR, PREDICTOR, TILE_WIDTH, TILE_LENGTH = 259, 262, 266, 284, 317, 322, 323
ENCODING = (COMPRESSION, PHOTOMETRIC, FILL_ORDER, PLANAR, PREDICTOR, TILE_WIDTH, TILE_LENGTH)
SINGLE = (WIDTH, LENGTH, SAMPLES, TILE_WIDTH, TILE_LENGTH)
VALUE = {1: "B", 3: "H", 4: "I", 16: "Q"}
MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Page:
    """Size and kind of the pixels of one page; `encoding` is how they are stored."""

    width: int
    length: int
    samples: int
    bits: int
    sample_format: int
    encoding: tuple[int, ...]

    @property
    def look(self) -> str:
        """Words for an error text."""
        kind = {1: "unsigned", 2: "signed", 3: "float"}.get(self.sample_format, "of unknown type")
        colours = "" if self.samples == 1 else f", {self.samples} channels"
        return f"{self.length} x {self.width} pixels (y, x), {self.bits} bits {kind}{colours}"


@dataclass(frozen=True)
class Chain:
    """All pages that can be reached; not `whole` where the chain leads out of the file or, a `circle`, back into it."""

    pages: tuple[Page, ...]
    whole: bool
    circle: bool = False


@dataclass(frozen=True)
class _Layout:
    order: str
    count: str
    entry: int
    offset: str

    def unpack(self, code: str, data: bytes) -> int:
        (value,) = struct.unpack(self.order + code, data)
        return int(value)

    def number(self, file: BinaryIO, code: str) -> int:
        return self.unpack(code, file.read(struct.calcsize(self.order + code)))


def walk(path: Path) -> Chain:
    """Return the pages of a TIFF or BigTIFF; raise BadInput where it is neither."""
    size = path.stat().st_size
    pages: list[Page] = []
    seen: set[int] = set()
    with path.open("rb") as file:
        try:
            layout, offset = _header(file)
            while offset:
                if offset in seen:
                    return Chain(tuple(pages), whole=False, circle=True)
                seen.add(offset)
                page, offset = _directory(file, layout, offset, size)
                pages.append(page)
        except (struct.error, EOFError):
            return Chain(tuple(pages), whole=False)
    return Chain(tuple(pages), whole=True)


def _header(file: BinaryIO) -> tuple[_Layout, int]:
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        raise BadInput(f"{file.name}: not a TIFF. Check the file.")
    (version,) = struct.unpack(order + "H", file.read(2))
    if version == 42:
        layout = _Layout(order, "H", 12, "I")
    elif version == 43:
        layout = _Layout(order, "Q", 20, "Q")
        file.read(4)
    else:
        raise BadInput(f"{file.name}: TIFF of version {version}, wanted 42 or 43 (BigTIFF). Export it again.")
    return layout, layout.number(file, layout.offset)


def _directory(file: BinaryIO, layout: _Layout, offset: int, size: int) -> tuple[Page, int]:
    if offset >= size:
        raise EOFError
    file.seek(offset)
    entries = layout.number(file, layout.count)
    if entries > MOST_ENTRIES or file.tell() + entries * layout.entry > size:
        raise EOFError
    data = file.read(entries * layout.entry)
    tags = dict(filter(None, (_tag(layout, data[at : at + layout.entry]) for at in range(0, len(data), layout.entry))))
    following = layout.number(file, layout.offset)
    page = Page(
        width=tags.get(WIDTH, 0),
        length=tags.get(LENGTH, 0),
        samples=tags.get(SAMPLES, 1),
        bits=tags.get(BITS, 1 if tags.get(SAMPLES, 1) == 1 else 8),
        sample_format=tags.get(SAMPLE_FORMAT, 1),
        encoding=tuple(tags.get(code, 0) for code in ENCODING),
    )
    return page, following


def _tag(layout: _Layout, entry: bytes) -> tuple[int, int] | None:
    """Return code and value of an entry; the first of two values, None where they lie elsewhere in the file.

    A size that is not one whole number is 0.
    """
    code, kind = struct.unpack(layout.order + "HH", entry[:4])
    room = struct.calcsize(layout.order + layout.offset)
    count = layout.unpack(layout.offset, entry[4 : 4 + room])
    if code in SINGLE and (kind not in VALUE or count != 1):
        return code, 0  # a size that is no number
    if kind not in VALUE or count < 1:
        return None
    width = struct.calcsize(VALUE[kind])
    if count * width > room:
        return None
    return code, layout.unpack(VALUE[kind], entry[4 + room : 4 + room + width])
