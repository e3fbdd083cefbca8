"""Volumes in the store: OME-Zarr 0.5, one level, sharded.

Chunks of 64 voxels in shards of 128 x 512 x 512 (64 deep where a voxel has more than one byte), clipped to the
volume: measured fastest for slab-wise writing and random crops alike. Label volumes are compressed with zstd,
grey ones with lz4 (noise does not compress).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.errors import BadInput, StoreUnavailable
from porelay_schemas.volumes import Kind, VolumeRef

Box = tuple[slice, slice, slice]

PATIENCE_S = 600.0
"""After this time one read or write is given up; it must be enough for all of a big volume on a slow disk."""

CHUNK = 64
SHARD: Axis3 = (128, 512, 512)
WORK_BYTES = 4
"""Bytes of the slab budget, an eighth of the memory, that a voxel of a shard may take while blocks are worked on."""


class Volume:
    """An array (z, y, x) in the store. Threads may read and write at once; writes cover whole shards."""

    def __init__(self, ref: VolumeRef, kvstore: dict[str, Any]) -> None:
        self.ref = ref
        self._kvstore = kvstore
        self.shard: Axis3 = self._array.chunk_layout.write_chunk.shape

    @cached_property
    def _array(self) -> Any:
        import tensorstore as ts

        try:
            spec = {"driver": "zarr3", "kvstore": _level(self._kvstore)}
            return ts.open(spec, open=True).result(PATIENCE_S)
        except (ValueError, OSError) as error:
            raise StoreUnavailable(f"volume {self.ref.prefix}/{self.ref.name}: cannot be opened ({error}).") from error

    def __getstate__(self) -> dict[str, Any]:
        """Travel unopened: Dask's scheduler reads every task, and has no keys of the bucket."""
        return {"ref": self.ref, "_kvstore": self._kvstore, "shard": self.shard}

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""
        return self.ref.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        return np.dtype(self.ref.dtype)

    @property
    def voxel_um(self) -> VoxelUm:
        """Edge lengths of a voxel along (z, y, x), in micrometres."""
        return self.ref.voxel_um

    @property
    def kind(self) -> Kind:
        """`grey` or `labels`."""
        return self.ref.kind

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array in memory."""
        return self.ref.voxels * self.dtype.itemsize

    def __getitem__(self, box: Any) -> NDArray[Any]:
        """Read a box of slices along (z, y, x); slices are clipped as NumPy does."""
        with _explained(self.ref):
            return np.asarray(self._array[self._clipped(box)].read().result(PATIENCE_S))

    def __setitem__(self, box: Any, values: NDArray[Any]) -> None:
        """Write a box; raise StoreUnavailable where the disk is full or the server does not answer."""
        with _explained(self.ref):
            # The array is not copied first: it stays as it is until `result` has waited for the end.
            source = np.asarray(values, self.dtype)
            write = self._array[self._clipped(box)].write(source, can_reference_source_data_indefinitely=True)
            write.result(PATIENCE_S)

    def _clipped(self, box: Any) -> Box:
        slices = box if isinstance(box, tuple) else (box,)
        slices = slices + (slice(None),) * (3 - len(slices))
        if len(slices) != 3 or not all(isinstance(part, slice) and part.step in (None, 1) for part in slices):
            raise TypeError(f"volume box {box!r}: wanted three slices without steps")
        z, y, x = (slice(*part.indices(size)[:2]) for part, size in zip(slices, self.shape, strict=True))
        return z, y, x

    def slabs(self, depth: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield `(z0, slices)` from the first slice to the last; `depth` defaults to a shard's."""
        depth = depth or self.shard[0]
        for z0 in range(0, self.shape[0], depth):
            yield z0, self[z0 : z0 + depth]


def create(ref: VolumeRef, kvstore: dict[str, Any], *, slab_bytes: int) -> Volume:
    """Make an empty volume whose slab of whole slices, one shard deep, takes at most `slab_bytes` if it can."""
    import tensorstore as ts

    if min(ref.shape) < 1:
        raise BadInput(f"volume {ref.name}: shape (z, y, x) is {ref.shape}, wanted at least one voxel along each axis.")
    chunk, shard = layout(ref.shape, ref.dtype, slab_bytes)
    metadata = {
        "shape": list(ref.shape),
        "data_type": ref.dtype,
        "fill_value": 0,
        "dimension_names": ["z", "y", "x"],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {"chunk_shape": list(chunk), "codecs": _codecs(ref), "index_location": "end"},
            }
        ],
    }
    with _explained(ref):
        _write_group(ref, kvstore)
        spec = {"driver": "zarr3", "kvstore": _level(kvstore), "metadata": metadata}
        ts.open(spec, create=True).result(PATIENCE_S)
    return Volume(ref, kvstore)


@contextmanager
def _explained(ref: VolumeRef) -> Iterator[None]:
    """Turn tensorstore's errors into ours, where they tell of the place and not of the array."""
    try:
        yield
    except (ValueError, OSError) as error:
        text = str(error)
        if "No space left" in text or "quota" in text.lower():
            raise StoreUnavailable(
                f"volume {ref.name}: the disk is full. Free some space, or give another place with --home; "
                "then run the same command again, it continues where it was."
            ) from error
        if isinstance(error, TimeoutError) or "retry attempts failed" in text:
            raise StoreUnavailable(
                f"volume {ref.name}: no answer from the store. Check that the server runs."
            ) from error
        if "PERMISSION_DENIED" in text:
            raise BadInput(
                f"volume {ref.name}: this user may not read or write it. Check PORELAY_S3_ACCESS_KEY and _SECRET_KEY, "
                "and the user's policy."
            ) from error
        raise


def layout(shape: Axis3, dtype: DTypeLike, slab_bytes: int) -> tuple[Axis3, Axis3]:
    """Return chunk and shard (z, y, x) of a volume."""
    item = np.dtype(dtype).itemsize
    depth = SHARD[0] if item == 1 else SHARD[0] // 2
    slab, shard = shape[1] * shape[2] * item, min(shape[1], SHARD[1]) * min(shape[2], SHARD[2])
    while depth > 1 and depth * max(slab, WORK_BYTES * shard) > slab_bytes:
        depth //= 2
    limits = (depth, SHARD[1], SHARD[2])
    cz, cy, cx = (min(CHUNK, limit, size) for limit, size in zip(limits, shape, strict=True))
    sz, sy, sx = (
        min(limit // chunk, -(-size // chunk)) * chunk
        for limit, size, chunk in zip(limits, shape, (cz, cy, cx), strict=True)
    )
    return (cz, cy, cx), (sz, sy, sx)


def _codecs(ref: VolumeRef) -> list[dict[str, Any]]:
    size = np.dtype(ref.dtype).itemsize
    to_bytes: dict[str, Any] = {"name": "bytes"}
    if size > 1:
        to_bytes["configuration"] = {"endian": "little"}
    if ref.kind == "labels":
        return [to_bytes, {"name": "zstd", "configuration": {"level": 1, "checksum": True}}]
    shuffle = "shuffle" if size > 1 else "noshuffle"
    blosc = {"cname": "lz4", "clevel": 1, "shuffle": shuffle, "typesize": size, "blocksize": 0}
    return [to_bytes, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}]


def _level(kvstore: dict[str, Any]) -> dict[str, Any]:
    return kvstore | {"path": f"{kvstore['path'].rstrip('/')}/0/"}


def _write_group(ref: VolumeRef, kvstore: dict[str, Any]) -> None:
    import tensorstore as ts

    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": _ome(ref), "porelay": {"kind": ref.kind}}}
    ts.KvStore.open(kvstore).result().write("zarr.json", json.dumps(group, indent=1)).result(PATIENCE_S)


def _ome(ref: VolumeRef) -> dict[str, Any]:
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = {"type": "scale", "scale": list(ref.voxel_um)}
    level = {"path": "0", "coordinateTransformations": [scale]}
    return {"version": "0.5", "multiscales": [{"name": ref.name, "axes": axes, "datasets": [level]}]}
