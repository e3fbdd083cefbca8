"""Single images through Pillow: PNG, JPEG, BMP."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from porelay_ingest.channels import one_channel
from porelay_ingest.files import decoding, plausible
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import Stack, StackFacts

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
FORMATS = ("PNG", "JPEG", "BMP")
"""Pillow is allowed no other: some of its formats run programs."""
DTYPES = {"1": "bool", "L": "uint8", "P": "uint8", "I;16": "uint16", "I;16B": "uint16", "I": "uint16", "F": "float32"}
Image.MAX_IMAGE_PIXELS = None  # slices of electron microscopes are larger than Pillow's bound: `plausible` is ours
COLOURS = ("RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB")


def opened(path: Path) -> Stack:
    """Open an image as a stack of one slice; raise BadInput where it is damaged."""
    with decoding(path.name), _open(path) as image:
        mode, (width, length), kind = image.mode, image.size, image.format or "image"
    dtype = "uint8" if mode in COLOURS else DTYPES.get(mode)
    if dtype is None:
        raise BadInput(f"{path.name}: pixels of mode {mode!r}, wanted 1, 8 or 16 bits grey. Convert it.")
    plausible(path.name, width * length * np.dtype(dtype).itemsize, path.stat().st_size)
    notes = ("JPEG: its compression changes grey levels; export TIFF or PNG where you can.",) if kind == "JPEG" else ()
    facts = StackFacts(format=kind, shape=(1, length, width), dtype=dtype, notes=notes)

    def read(z0: int, out: NDArray[Any]) -> None:
        out[0] = _pixels(path)

    return Stack(facts, read)


def _open(path: Path) -> Image.Image:
    return Image.open(path, formats=FORMATS)


def _pixels(path: Path) -> NDArray[Any]:
    with decoding(path.name), _open(path) as image:
        if image.mode == "P":
            image = _grey_palette(image)
        pixels = np.asarray(image)
    return one_channel(pixels, path.name)


def _grey_palette(image: Image.Image) -> Image.Image:
    """Return grey levels where the palette is grey, else the image: its numbers are what counts."""
    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return image.convert("L") if (colours == colours[:, :1]).all() else image
