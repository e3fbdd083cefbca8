"""Pictures as data within the page.

An SVG stands in an `img`: there a browser runs no script of it, loads nothing for it, and its ids are its own.
"""

import re
from base64 import b64encode
from pathlib import PurePosixPath

from porelay_kit.report.markup import Html, tag

_PNG = b"\x89PNG\r\n\x1a\n"
_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
_PIXELS_PER_CSS_PIXEL = 1.5
"""Pictures of `porelay_kit.figures` have 160 dots per inch, a page 96; a little larger reads better."""
_SVG_SCALE = 1.15


def picture(file: str, pictures: dict[str, bytes], alt: str) -> Html:
    """Return the picture of that file, or a line that says that it is missing."""
    kind, data = _TYPES.get(PurePosixPath(file).suffix.lower()), pictures.get(file)
    if kind is None or not data:
        return tag("p", f"The picture {file!r} is missing from the artifact.", class_="missing")
    width, height = size(file, pictures)
    source = f"data:{kind};base64,{b64encode(data).decode()}"
    return tag("img", src=source, alt=alt, width=width, height=height)


def size(file: str, pictures: dict[str, bytes]) -> tuple[int | None, int | None]:
    """Return the width and height to show a picture at, in CSS pixels, None where it does not tell."""
    data = pictures.get(file, b"")
    return _png_size(data) if data[:8] == _PNG else _svg_size(data)


def _png_size(data: bytes) -> tuple[int | None, int | None]:
    """Return the width and height to show a PNG at, in CSS pixels."""
    if len(data) < 24:
        return None, None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return round(width / _PIXELS_PER_CSS_PIXEL), round(height / _PIXELS_PER_CSS_PIXEL)


def _svg_size(data: bytes) -> tuple[int | None, int | None]:
    """Return the width and height of an SVG, in CSS pixels, where it gives them in points or pixels."""
    head = data[:2000].decode("utf-8", "replace")
    found = [re.search(rf'<svg[^>]*\s{name}="([\d.]+)(pt|px)?"', head) for name in ("width", "height")]
    units = {"pt": 4 / 3 * _SVG_SCALE}
    width, height = (round(float(match[1]) * units.get(match[2], _SVG_SCALE)) if match else None for match in found)
    return width, height
