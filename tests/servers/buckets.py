"""What the tests of stores share."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from servers.s3 import S3Server

from porelay_kit.store.s3 import Address
from porelay_schemas.volumes import VolumeRef

ARTIFACT = "artifacts/segment/k"


def new_address(server: S3Server, **given: str) -> Address:
    """Return the address of a new bucket, or of the one given."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key} | given
    return Address(endpoint=server.url, **({"bucket": given.get("bucket") or server.new_bucket()} | keys))


def ref(shape, dtype="uint8", kind="labels") -> VolumeRef:
    """Return the reference of a volume of the artifact."""
    return VolumeRef(prefix=ARTIFACT, name="v.zarr", kind=kind, shape=shape, dtype=dtype, voxel_um=(1, 1, 1))


def at_once(*functions: Callable[[], object]) -> list[object]:
    """Return what the functions return that are called at the same moment."""
    ready = threading.Barrier(len(functions))

    def one(function: Callable[[], object]) -> object:
        ready.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(one, functions))
