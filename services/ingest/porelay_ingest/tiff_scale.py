"""Voxel sizes in TIFF files: OME, ImageJ, two vendors of microscopes, and the plain resolution tags.

A resolution that a printer or a screen has is no voxel size: software writes 72 or 300 dpi into files whose scale it
does not know.
"""

import math
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile

MICROMETRES = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometers": 1.0, "micrometre": 1.0, "micrometres": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometers": 1e-3,
    "pm": 1e-6, "å": 1e-4, "angstrom": 1e-4, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6,
}  # fmt: skip
PRINT_DPI = (1, 72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 360, 400, 600, 720, 800, 1200, 2400, 4800)
SMALLEST_UM, LARGEST_UM = 1e-5, 1e3
INCH, CENTIMETRE = 2, 3
INCH_UM = 25_400.0

Axes = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Scale:
    """Voxel size (z, y, x) in micrometres, None where unknown; where it stood; what was found and not used."""

    voxel_um: Axes = (None, None, None)
    source: str = ""
    notes: tuple[str, ...] = ()


def scale_of(tif: tifffile.TiffFile) -> Scale:
    """Return the voxel size of the most telling source in the file that has one."""
    notes: tuple[str, ...] = ()
    for source in (_ome, _imagej, _fei, _zeiss, _resolution):
        scale = _sane(source(tif))
        if any(scale.voxel_um):
            return Scale(scale.voxel_um, scale.source, notes)
        notes += scale.notes
    return Scale(notes=notes)


def micrometres(unit: str) -> float | None:
    """Return the micrometres in a unit of length by its name, None for an unknown one."""
    name = unit.strip().replace("\\u00B5", "µ").replace("\u03bc", "µ")
    return MICROMETRES.get(name.lower())


def _sane(scale: Scale) -> Scale:
    """Leave out edges that no microscope has."""
    odd = [edge for edge in scale.voxel_um if edge is not None and not SMALLEST_UM <= edge <= LARGEST_UM]
    if not odd:
        return scale
    note = f"{scale.source} tells of a voxel of {odd[0]:g} µm: not believed."
    return Scale(source=scale.source, notes=(*scale.notes, note))


def _ome(tif: tifffile.TiffFile) -> Scale:
    if not tif.is_ome:
        return Scale()
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return Scale(notes=("OME metadata is damaged: not used.",))
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return Scale()
    z, y, x = (_ome_edge(pixels, axis) for axis in "ZYX")
    return Scale((z, y, x), "OME PhysicalSize")


def _ome_edge(pixels: ElementTree.Element, axis: str) -> float | None:
    value = _number(pixels.get(f"PhysicalSize{axis}"))
    unit = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if value is None or unit is None else value * unit


def _imagej(tif: tifffile.TiffFile) -> Scale:
    meta = tif.imagej_metadata if tif.is_imagej else None
    if not meta:
        return Scale()
    unit = str(meta.get("unit", ""))
    length = micrometres(unit)
    if length is None:
        odd = unit.strip() not in ("", "pixel", "pixels")
        return Scale(notes=(f"ImageJ's unit is {unit!r}: a print size, no voxel size.",) if odd else ())
    y, x = _per_pixel(tif, "YResolution"), _per_pixel(tif, "XResolution")
    edges = (_number(meta.get("spacing")), y, x)
    z, y, x = (None if edge is None else edge * length for edge in edges)
    return Scale((z, y, x), "ImageJ spacing and unit")


def _fei(tif: tifffile.TiffFile) -> Scale:
    """ThermoFisher (FEI): metres, in the section Scan."""
    scan = ((tif.fei_metadata or {}) if tif.is_fei else {}).get("Scan", {})
    y, x = (_number(scan.get(name)) for name in ("PixelHeight", "PixelWidth"))
    return Scale((None, None if y is None else y * 1e6, None if x is None else x * 1e6), "ThermoFisher PixelWidth")


def _zeiss(tif: tifffile.TiffFile) -> Scale:
    """Zeiss: a name, a number and a unit."""
    entry = ((tif.sem_metadata or {}) if tif.is_sem else {}).get("ap_image_pixel_size", ())
    if len(entry) < 3 or (length := micrometres(str(entry[2]))) is None:
        return Scale()
    edge = _number(entry[1])
    edge = None if edge is None else edge * length
    return Scale((None, edge, edge), "Zeiss AP_IMAGE_PIXEL_SIZE")


def _resolution(tif: tifffile.TiffFile) -> Scale:
    unit = tif.pages.first.tags.valueof("ResolutionUnit")
    length = {INCH: INCH_UM, CENTIMETRE: 1e4}.get(int(unit) if unit else 0)
    y, x = _per_pixel(tif, "YResolution"), _per_pixel(tif, "XResolution")
    if length is None or y is None or x is None or tif.is_imagej:
        return Scale()
    dpi = INCH_UM / (x * length)
    if any(abs(dpi / usual - 1) < 0.002 for usual in PRINT_DPI):
        return Scale(notes=(f"The resolution tag says {dpi:.0f} dpi: a print size, no voxel size.",))
    return Scale((None, y * length, x * length), "resolution tag")


def _per_pixel(tif: tifffile.TiffFile, tag: str) -> float | None:
    """Return units per pixel from a tag of pixels per unit."""
    value = tif.pages.first.tags.valueof(tag)
    try:
        above, below = value
        return _number(below / above)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _number(value: Any) -> float | None:
    """Return a positive finite float, None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
