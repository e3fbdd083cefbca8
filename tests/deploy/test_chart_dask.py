"""A Dask cluster as the chart starts it, each process with a disk of its own, on the blocks of a volume in a bucket."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from deploy.chart import container_of, render
from servers.ceph import S3Server

from porelay_kit import dask_worker
from porelay_kit.bench import Bench, Control
from porelay_kit.settings import Settings
from porelay_kit.store.bucket import BucketStore
from porelay_kit.store.folder import FolderStore
from porelay_kit.tiles import map_blocks
from porelay_schemas.errors import StoreUnavailable
from porelay_schemas.volumes import ArtifactRef, VolumeRef

own_disks = pytest.mark.skipif(
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


@own_disks
def test_blocks_of_a_volume_in_a_bucket_run_on_dask_as_the_chart_starts_it(
    ceph: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    found = render(values=DASK)
    scheduler = container_of(found.one("Deployment", role="dask-scheduler"))["command"]
    worker = container_of(found.one("Deployment", role="dask-worker"))["command"]
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


def test_a_volume_travels_unopened_for_the_scheduler_reads_every_task_and_has_no_keys(
    put_volume: Callable[..., VolumeRef], make_bench: Callable[..., Bench], store: FolderStore
) -> None:
    written = pickle.dumps(make_bench("segment").volume(put_volume(np.ones((4, 5, 6), np.uint8))))
    shutil.rmtree(store.home)
    volume = pickle.loads(written)
    assert volume.shape == (4, 5, 6)
    with pytest.raises(StoreUnavailable, match=r"grey.zarr: cannot be opened"):
        volume[:]


def test_a_dask_worker_gets_the_keys_where_volumes_look_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"S3_URL": "https://s3.example.org/porelay", "S3_ACCESS_KEY": "me", "S3_SECRET_KEY": "mine"}
    for name, value in (variables | {"CACHE": str(tmp_path)}).items():
        monkeypatch.setenv(f"PORELAY_{name}", value)
    dask_worker.dask_setup(None)
    sent = BucketStore.open(Settings.from_env()).kvstore_at("artifacts")["aws_credentials"]["credentials_file"]
    assert "aws_access_key_id = me" in Path(sent).read_text()
    assert Path(sent).stat().st_mode & 0o077 == 0
