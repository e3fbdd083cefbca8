"""What a Dask worker needs besides Dask: `dask worker ... --preload porelay_kit.dask_worker`.

A volume names the file in which this machine keeps the keys of the bucket, and never the keys. On a worker of another
machine that file is written here, so both must have the same PORELAY_S3_URL and PORELAY_CACHE.
"""

from porelay_kit.settings import Settings
from porelay_kit.store.bucket import BucketStore


def dask_setup(worker: object) -> None:
    """Write the file; Dask calls this when a worker starts. Raises BadInput where the settings are not enough."""
    BucketStore.open(Settings.from_env()).kvstore_at("artifacts")
