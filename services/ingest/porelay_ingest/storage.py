"""Which type a volume is stored in, and how voxels get there: exactly, or with an error that says why not.

| stack | grey volume | label volume |
|---|---|---|
| 1 bit | uint8, 0 and 1 | uint8, 0 and 1 |
| uint8, uint16 | as it is | uint8, where all values are 0 to 255 |
| int8, int16 | uint8, uint16: shifted by 128, 32768 | same |
| int32, uint32, int64, uint64 | float32, where none exceeds 2^24 | same |
| float16, float32 | float32 | same, where all are whole |
| float64 | float32, rounded | same |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import StackFacts
from porelay_schemas.volumes import Kind

EXACT = 2**24
"""Whole numbers up to here are exact in float32."""

Convert = Callable[[NDArray[Any], int], NDArray[Any]]
"""Turns slices (n, y, x), the first of which has the given index, into what is stored; may work in place."""


@dataclass(frozen=True)
class Storage:
    """Type of the stored voxels, the rule in words (empty where voxels stay as they are), and the rule itself."""

    dtype: str
    rule: str
    convert: Convert


def storage_of(facts: StackFacts, kind: Kind, name: str) -> Storage:
    """Return how a stack is stored; raise BadInput for a type that holds no grey levels."""
    if np.dtype(facts.dtype).kind not in "buif":
        raise BadInput(f"{name}: voxels of type {facts.dtype}, wanted integers or floats. Convert it.")
    if kind == "labels":
        return Storage("uint8", "" if facts.dtype == "uint8" else f"{facts.dtype} to uint8, exact", _labels(name))
    storage = _grey(facts.dtype, name)
    if not facts.white_is_zero or storage.dtype == "float32":
        return storage
    return Storage(storage.dtype, f"{storage.rule} inverted: zero was white".strip(), _inverted(storage.convert))


def _grey(dtype: str, name: str) -> Storage:
    if dtype == "bool":
        return Storage("uint8", "one bit to 0 and 1", lambda slab, z0: slab.view(np.uint8))
    if dtype in ("uint8", "uint16"):
        return Storage(dtype, "", lambda slab, z0: slab)
    if dtype in ("int8", "int16"):
        stored = "u" + dtype
        middle = 2 ** (np.dtype(dtype).itemsize * 8 - 1)
        return Storage(stored, f"{dtype} + {middle} to {stored}, exact", _shifted(stored, middle))
    if np.dtype(dtype).kind in "iu":
        return Storage("float32", f"{dtype} to float32, exact", _whole(name))
    rule = {"float32": "", "float16": "float16 to float32, exact"}.get(dtype, f"{dtype} to float32, rounded")
    return Storage("float32", rule, _finite(name))


def _inverted(convert: Convert) -> Convert:
    def invert(slab: NDArray[Any], z0: int) -> NDArray[Any]:
        stored = convert(slab, z0)
        highest = 1 if slab.dtype == np.bool_ else np.iinfo(stored.dtype).max
        return np.subtract(highest, stored, out=stored, dtype=stored.dtype)

    return invert


def _shifted(stored: DTypeLike, middle: int) -> Convert:
    def shift(slab: NDArray[Any], z0: int) -> NDArray[Any]:
        raw = slab.view(stored)
        np.bitwise_xor(raw, raw.dtype.type(middle), out=raw)
        return raw

    return shift


def _whole(name: str) -> Convert:
    def convert(slab: NDArray[Any], z0: int) -> NDArray[Any]:
        lowest, highest = int(slab.min()), int(slab.max())
        if max(-lowest, highest) > EXACT:
            raise BadInput(
                f"{name}: {slab.dtype} grey levels from {lowest} to {highest} in slices {z0} to {z0 + len(slab) - 1}, "
                f"wanted at most {EXACT} (exact in float32). Rescale to 16 bits (in Fiji: Image > Type > 16-bit)."
            )
        return slab.astype(np.float32)

    return convert


def _finite(name: str) -> Convert:
    def convert(slab: NDArray[Any], z0: int) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            stored = slab.astype(np.float32, copy=False)
        if not np.isfinite(np.sum(stored, dtype=np.float64)):
            _find_odd(stored, z0, name)
        return stored

    return convert


def _find_odd(slab: NDArray[Any], z0: int, name: str) -> None:
    for z, plane in enumerate(slab, z0):
        nan, inf = int(np.isnan(plane).sum()), int(np.isinf(plane).sum())
        if nan + inf:
            raise BadInput(
                f"{name}: slice {z} holds {nan} NaN and {inf} infinite voxels, wanted finite grey levels. "
                "Replace them (in Fiji: Process > Math > NaN Background), or crop the volume to where it is measured."
            )


def _labels(name: str) -> Convert:
    def convert(slab: NDArray[Any], z0: int) -> NDArray[Any]:
        if slab.dtype in (np.bool_, np.uint8):
            return slab.view(np.uint8)
        for z, plane in enumerate(slab, z0):
            check_labels(plane, f"{name}: slice {z}")
            if plane.min() < 0 or plane.max() > 255:
                raise BadInput(
                    f"{name}: slice {z} holds values from {plane.min():g} to {plane.max():g}, wanted labels 0 to 255, "
                    "at most 256 distinct ones. Is it a grey stack? Then use a plan that segments it; "
                    "else save 8-bit labels."
                )
        return slab.astype(np.uint8)

    return convert


def check_labels(plane: NDArray[Any], what: str) -> None:
    """Raise BadInput where labels are not whole numbers."""
    if plane.dtype.kind == "f" and not (np.isfinite(plane).all() and (plane == np.rint(plane)).all()):
        odd = plane[~(np.isfinite(plane) & (plane == np.rint(plane)))][0]
        raise BadInput(
            f"{what} holds {odd:g}, wanted whole numbers: labels. Interpolation and JPEG make such values; "
            "export the labels again without resampling, as TIFF or PNG."
        )
