"""How many slices, channels and points in time a TIFF tells of."""

import json
import operator
from dataclasses import dataclass
from math import prod
from xml.etree import ElementTree

import tifffile

from porelay_schemas.errors import BadInput

MOST_CHANNELS = 4
"""A stack with more channels than that, and with nothing else, is one whose writer was not told the axes."""


@dataclass(frozen=True)
class Declared:
    """What the description of a file tells: its format, and the slices along the axes that are not y and x."""

    format: str
    z: int = 1
    channels: int = 1
    times: int = 1
    notes: tuple[str, ...] = ()

    @property
    def slices(self) -> int:
        """Number of images in all."""
        return self.z * self.channels * self.times


def declaration(tif: tifffile.TiffFile, samples: int) -> Declared:
    """Return what OME, ImageJ or tifffile's own description tells; one slice where there is none."""
    big = "BigTIFF" if tif.is_bigtiff else "TIFF"
    if tif.is_ome:
        return _ome(tif.ome_metadata, samples)
    if tif.is_imagej:
        meta = tif.imagej_metadata or {}
        z, channels, times = (max(1, int(meta.get(name, 1))) for name in ("slices", "channels", "frames"))
        images = max(1, int(meta.get("images", 1)))
        if z * channels * times == 1:
            z = images
        return _plainly("ImageJ TIFF", z, 1 if channels == samples else channels, times)
    text = tif.pages.first.shaped_description
    if text:
        shape = [operator.index(edge) for edge in json.loads(text).get("shape", [1])]  # it may hold anything
        page = tif.pages.first
        return Declared(f"{big} (tifffile)", max(1, prod(shape) // prod(page.shape)))
    return Declared(big)


def _ome(text: str, samples: int) -> Declared:
    root = ElementTree.fromstring(text)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return Declared("OME-TIFF")
    z, channels, times = (max(1, int(pixels.get(f"Size{axis}", "1"))) for axis in "ZCT")
    return _plainly("OME-TIFF", z, 1 if channels == samples else channels, times)


def _plainly(kind: str, z: int, channels: int, times: int) -> Declared:
    if z * times == 1 and channels > MOST_CHANNELS:
        note = f"The file calls its {channels} slices channels: taken as slices."
        return Declared(kind, channels, notes=(note,))
    return Declared(kind, z, channels, times)


def check_axes(name: str, declared: Declared) -> None:
    """Raise BadInput where there is more than one volume."""
    if declared.channels > 1:
        raise BadInput(
            f"{name}: holds {declared.channels} channels, wanted one. "
            "Export the channel you need (in Fiji: Image > Color > Split Channels)."
        )
    if declared.times > 1 and declared.z > 1:
        raise BadInput(
            f"{name}: holds {declared.times} points in time of {declared.z} slices, wanted one volume. "
            "Export one of them (in Fiji: Image > Hyperstacks > Make Subset)."
        )
