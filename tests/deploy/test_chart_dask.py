"""A Dask cluster as the chart starts it, each process with a disk of its own, on the blocks of a volume in a bucket."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from deploy.chart import container_of, render
from servers.ceph import S3Server

from porelay_kit.bench import Bench, Control
from porelay_kit.settings import Settings
from porelay_kit.store.bucket import BucketStore
from porelay_kit.tiles import map_blocks
from porelay_schemas.volumes import ArtifactRef

pytestmark = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
    reason="a process gets a disk of its own by `unshare --mount`, which takes root here",
)
DASK = {"services": {"segment": {"dask": {"workers": 1}}}}


@contextmanager
def alone(words: list[str], cache: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a program that finds an empty folder where others have their cache, as a pod does."""
    mount = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
    program = [str(Path(sys.executable).parent / words[0]), *words[1:]]
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount, cache, *program], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_blocks_of_a_volume_in_a_bucket_run_on_dask_as_the_chart_starts_it(
    ceph: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    found = render(values=DASK)
    scheduler = container_of(found.one("Deployment", role="dask-scheduler"))["args"]
    worker = container_of(found.one("Deployment", role="dask-worker"))["args"]
    cache = tmp_path / "cache"
    cache.mkdir()
    variables = {
        "PORELAY_S3_URL": f"{ceph.url}/{ceph.new_bucket()}",
        "PORELAY_S3_ACCESS_KEY": ceph.access_key,
        "PORELAY_S3_SECRET_KEY": ceph.secret_key,
        "PORELAY_CACHE": str(cache),
    }
    values = {"$(PORELAY_WORKERS)": "1", "$(POD_IP)": "127.0.0.1", "porelay-segment-dask": "127.0.0.1"}
    for name, value in values.items():
        worker = [word.replace(name, value) for word in worker]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PORELAY_")}

    settings = Settings.from_env(variables, max_memory_bytes=2**28, workers=1)
    store = BucketStore.open(settings)
    artifact = ArtifactRef(stage="segment", key="a" * 64)
    bench = Bench(artifact, store, store.begin(artifact.prefix), settings, Control())
    array = rng.integers(0, 100, (40, 50, 60), dtype=np.uint8)
    source = bench.new_volume("in.zarr", kind="grey", shape=array.shape, dtype="uint8", voxel_um=(1, 1, 1))
    target = bench.new_volume("out.zarr", kind="grey", shape=array.shape, dtype="uint8", voxel_um=(1, 1, 1))
    source[:] = array
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:8786")
    with alone(scheduler, cache, plain), alone(worker, cache, plain | variables):
        map_blocks(np.invert, source, target, bench=bench)
    assert np.array_equal(target[:], ~array)
