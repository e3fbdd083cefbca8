"""An array through the road that volumes take: sharded Zarr, its index read by a suffix of bytes."""

import time
from typing import Any

import numpy as np

from porelay_kit import volumes
from porelay_kit.doctor.finding import Answer, fail, ok
from porelay_schemas.errors import StoreUnavailable
from porelay_schemas.volumes import VolumeRef

SHAPE = (130, 70, 66)
"""Two shards deep, with chunks that the array does not fill."""


def round_trip(prefix: str, kvstore: dict[str, Any]) -> Answer:
    """Write a small volume and read it back, whole and in part."""
    ref = VolumeRef(prefix=prefix, name="probe.zarr", kind="grey", shape=SHAPE, dtype="uint8", voxel_um=(1, 1, 1))
    values = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    advice = "Volumes cannot be kept there. Look at the probe of suffix ranges first; else use another server."
    began = time.monotonic()
    try:
        volume = volumes.create(ref, kvstore, slab_bytes=2**30)
        volume[:] = values
        same = np.array_equal(volume[:], values) and np.array_equal(volume[120:130, 60:70], values[120:130, 60:70])
    except (ValueError, OSError, StoreUnavailable) as error:
        return fail(f"a sharded array could not be written and read: {_short(error)}", advice)
    if not same:
        return fail("a sharded array came back with other values", advice)
    return ok(f"a sharded array of {values.size:,} voxels came back the same, in {time.monotonic() - began:.2f} s")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 200 else text[:200] + " ..."
