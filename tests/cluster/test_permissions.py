"""Each service can do its own work with its own users, and nothing else, on the real servers."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from porelay_kit import volumes
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.policies import bucket_policy, ceph_user, grants
from porelay_kit.store.wire import Wire
from porelay_schemas.volumes import VolumeRef

GRANTS = {grant.name: grant for grant in grants()}
ADMIN = "porelay-operator"


class Shared:
    """A bucket of the administrator's, with the policy of the deployment."""

    def __init__(self, ceph, folder: Path) -> None:
        self.folder, bucket = folder, ceph.new_bucket()
        self.url = f"{ceph.url}/{bucket}"
        self.users = {name: ceph.new_user() for name in ("porelay-segment", "porelay-ingest", "porelay-submit")}
        policy = bucket_policy([(GRANTS[name], ceph_user(user.name)) for name, user in self.users.items()], bucket)
        ceph.client().set_bucket_policy(bucket_name=bucket, policy=json.dumps(policy))
        self.admin = Wire.open(self.settings(ADMIN, ceph.access_key, ceph.secret_key))

    def settings(self, name: str, access_key: str, secret_key: str) -> Settings:
        cache = self.folder / name
        return Settings(s3_url=self.url, s3_access_key=access_key, s3_secret_key=secret_key, cache=cache)

    def of(self, name: str) -> Settings:
        user = self.users[name]
        return self.settings(name, user.access_key, user.secret_key)

    def wire(self, name: str) -> Wire:
        return Wire.open(self.of(name))


@pytest.fixture(scope="module")
def shared(ceph, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    made = Shared(ceph, tmp_path_factory.mktemp("shared"))
    for key in ("inbox/electrode/stack.tif", "artifacts/mesher/k/manifest.json", "artifacts/segment/k/manifest.json"):
        made.admin.ask("PUT", key, body=b"{}").checked()
    return made


@pytest.mark.parametrize(
    ("user", "method", "key", "status"),
    [
        ("porelay-segment", "GET", "inbox/electrode/stack.tif", 403),
        ("porelay-segment", "PUT", "inbox/electrode/other.tif", 403),
        ("porelay-segment", "DELETE", "inbox/electrode/stack.tif", 403),
        ("porelay-segment", "PUT", "artifacts/mesher/k/1/mesh.msh", 403),
        ("porelay-segment", "PUT", "artifacts/mesher/k/manifest.json", 403),
        ("porelay-segment", "GET", "artifacts/mesher/k/manifest.json", 200),
        ("porelay-segment", "GET", "artifacts/mesher/none/manifest.json", 404),
        ("porelay-segment", "PUT", "artifacts/segment/k/1/section.json", 200),
        ("porelay-segment", "DELETE", "artifacts/segment/k/1/section.json", 204),
        ("porelay-segment", "DELETE", "artifacts/segment/k/manifest.json", 403),
        ("porelay-segment", "PUT", "runs/r/results/segment.json", 200),
        ("porelay-segment", "DELETE", "runs/r/results/segment.json", 403),
        ("porelay-segment", "PUT", "plans/p.json", 403),
        ("porelay-ingest", "GET", "inbox/electrode/stack.tif", 200),
        ("porelay-ingest", "PUT", "inbox/electrode/stack.tif", 403),
        ("porelay-ingest", "PUT", "inbox/electrode/stack.tif.rejected.txt", 200),
        ("porelay-ingest", "PUT", "inbox/electrode/slices.rejected.txt", 200),
        ("porelay-ingest", "DELETE", "inbox/electrode/a.ome.tif.again", 204),
        ("porelay-ingest", "DELETE", "inbox/electrode/stack.tif", 403),
        ("porelay-submit", "PUT", "inbox/electrode/mine.tif", 200),
        ("porelay-submit", "PUT", "artifacts/segment/k/manifest.json", 403),
    ],
)
def test_a_user_of_the_bucket_may_do_only_that(shared: Shared, user: str, method: str, key: str, status: int) -> None:
    assert shared.wire(user).ask(method, key, body=b"{}" if method == "PUT" else b"").status == status


def test_one_request_to_delete_many_deletes_only_what_is_ones_own(shared: Shared) -> None:
    keys = ["artifacts/segment/k/1/a.json", "artifacts/mesher/k/1/a.json"]
    for key in keys:
        shared.admin.ask("PUT", key).checked()
    body = f"<Delete>{''.join(f'<Object><Key>{key}</Key></Object>' for key in keys)}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = {"Content-MD5": digest}
    shared.wire("porelay-segment").ask("POST", query={"delete": ""}, headers=headers, body=body).checked()
    assert [shared.admin.ask("HEAD", key).status for key in keys] == [404, 200]


def test_nobody_but_the_owner_changes_the_policy(shared: Shared) -> None:
    for name in shared.users:
        assert shared.wire(name).ask("DELETE", query={"policy": ""}).status == 403


def test_a_worker_commits_a_volume_of_its_own_stage_with_its_own_user(shared: Shared) -> None:
    store, prefix = open_store(shared.of("porelay-segment")), f"artifacts/segment/{'e' * 64}"
    workspace = store.begin(prefix)
    ref = VolumeRef(prefix=prefix, name="l.zarr", kind="labels", shape=(4, 5, 6), dtype="uint8", voxel_um=(1, 1, 1))
    values = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    volumes.create(ref, workspace.zarr_spec("l.zarr"), slab_bytes=2**20)[:] = values
    assert workspace.commit(b"{}")
    assert np.array_equal(volumes.Volume(ref, store.zarr_spec(f"{prefix}/l.zarr"))[:], values)


def test_a_training_keeps_and_drops_its_scratch_with_its_own_user(shared: Shared) -> None:
    store, prefix = open_store(shared.of("porelay-segment")), f"artifacts/segment/{'f' * 64}"
    for name in ("one", "two"):
        folder = store.scratch(prefix)
        (folder / name).write_text(name)
        store.keep_scratch(prefix)
        (folder / "one").unlink(missing_ok=True)
    store.keep_scratch(prefix)
    assert list(store.list(f"scratch/{prefix}")) == [f"scratch/{prefix}/two"]
    store.drop_scratch(prefix)
    assert list(store.list(f"scratch/{prefix}")) == []
