"""From a drop in the bucket to the report: real servers, real notifications, every stage a process of its own."""

import io
import json
import shutil
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from minio import Minio

from porelay_kit.runner.state import RunState, run_ids
from porelay_kit.volumes import Volume
from porelay_schemas.route import STAGES

from .conftest import Mesh, done, eventually

PIPELINE = Path(__file__).parents[1] / "pipeline"


def client(mesh: Mesh) -> Minio:
    """Return any S3 client: not ours."""
    settings = mesh.settings
    return Minio(
        endpoint=urlparse(settings.s3_url).netloc,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        secure=False,
    )


@pytest.mark.slow
def test_a_dropped_stack_becomes_a_report_through_eight_processes(bucket_mesh, rabbit, ceph, stack, tmp_path):
    mesh, bucket = bucket_mesh, urlparse(bucket_mesh.settings.s3_url).path.strip("/")
    ceph.notify(bucket, mesh.settings.amqp_url.get_secret_value(), "ingest")
    for stage in STAGES:
        mesh.serve(stage)
    plan = (PIPELINE / "tiny.yaml").read_text().replace("seed: 1", "seed: 1\nvoxel_um: 0.05")
    minio = client(mesh)
    sidecar = io.BytesIO(plan.encode())
    minio.put_object(
        bucket_name=bucket, object_name="inbox/tiny/a b+c.tif.plan.yaml", data=sidecar, length=len(plan.encode())
    )
    minio.fput_object(bucket_name=bucket, object_name="inbox/tiny/a b+c.tif", file_path=str(stack))
    eventually("a run has begun", lambda: run_ids(mesh.store), within_s=60)
    (run_id,) = run_ids(mesh.store)
    state = RunState(mesh.store, run_id)
    eventually("the run is done", lambda: done(state) or state.failures(), within_s=240, every_s=1)
    assert not state.failures(), state.failures()
    eventually("the report is there", lambda: mesh.store.exists(f"{state.prefix}/report.html"), within_s=20)
    page = mesh.store.read(f"{state.prefix}/report.html").decode()
    assert page.count("<img") > 5
    embedded = mesh.folder / "embedded"
    shutil.copy(stack, tmp_path / "a b+c.tif")
    (tmp_path / "tiny.yaml").write_text(plan)
    alone = mesh.command(
        "run", tmp_path / "a b+c.tif", "--plan", tmp_path / "tiny.yaml", "--home", embedded, "--json", PORELAY_S3_URL=""
    )
    assert alone.returncode == 0, alone.stderr
    answer = json.loads(alone.stdout)
    assert answer["run_id"] == run_id
    results = state.results()
    assert {stage: result["artifact"] for stage, result in answer["results"].items()} == {
        stage: result.artifact.model_dump(mode="json") for stage, result in results.items()
    }
    labels = results["segment"].labels
    from porelay_kit.store.folder import FolderStore

    here = Volume(labels, FolderStore(embedded).zarr_spec(f"{labels.prefix}/{labels.name}"))[:]
    there = Volume(labels, mesh.store.zarr_spec(f"{labels.prefix}/{labels.name}"))[:]
    assert np.array_equal(here, there)
