"""What only a bucket can do, or fail to do, on a real S3 server."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from servers.buckets import ARTIFACT, at_once, new_address, ref

from porelay_kit import volumes
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.bucket import BucketStore
from porelay_kit.store.s3 import Address
from porelay_kit.store.scratch import OLD_S
from porelay_schemas.errors import BadInput, StoreUnavailable


@pytest.fixture(scope="module")
def address(ceph) -> Address:
    """A bucket that the tests of this file share."""
    return new_address(ceph)


@pytest.fixture
def bucket(ceph, tmp_path) -> BucketStore:
    return BucketStore(new_address(ceph), tmp_path / "here")


def test_a_listing_goes_on_after_a_thousand_keys_and_all_of_them_are_deleted(bucket):
    keys = [f"many/{number:04}" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.write(key, b""), keys))
    bucket.write("many-more", b"")
    assert list(bucket.list("many")) == keys
    bucket.delete("many")
    assert list(bucket.list("many")) == [] and bucket.exists("many-more")


def test_zarr_reads_through_obstore_what_was_written(bucket, rng):
    import zarr
    from obstore.store import S3Store
    from zarr.storage import ObjectStore

    work, about = bucket.begin(ARTIFACT), ref((130, 70, 65))
    array = rng.integers(0, 4, about.shape, np.uint8)
    volumes.create(about, work.zarr_spec("v.zarr"), slab_bytes=2**30)[:] = array
    assert work.commit(b"{}")
    where, spec = bucket.bucket.address, bucket.zarr_spec(f"{ARTIFACT}/v.zarr")
    remote = S3Store(
        where.bucket,
        prefix=spec["path"],
        endpoint=where.endpoint,
        access_key_id=where.access_key,
        secret_access_key=where.secret_key,
        region=where.region,
        client_options={"allow_http": True},
    )
    group = zarr.open_group(ObjectStore(remote, read_only=True), mode="r")
    assert group.attrs["ome"]["version"] == "0.5"
    assert np.array_equal(group["0"][:], array)
    assert np.array_equal(group["0"][64:70, 1:3, 60:65], array[64:70, 1:3, 60:65])


def test_the_server_is_found_to_honour_conditional_puts(bucket):
    assert bucket.write_new("a", b"1")
    assert bucket.bucket.enforces_create is True


def test_a_commit_is_whole_where_the_server_ignores_conditional_puts(ceph, tmp_path):
    address = new_address(ceph)
    stores = [BucketStore(address, tmp_path / str(number)) for number in range(4)]
    works = []
    for number, store in enumerate(stores):
        store.bucket.enforces_create = False
        works.append(store.begin(ARTIFACT))
        for name in ("who.txt", f"only-{number}.txt"):
            (works[-1].folder / name).write_text(str(number))
    won = at_once(*[lambda n=n, w=w: w.commit(str(n).encode()) for n, w in enumerate(works)])
    reader = BucketStore(address, tmp_path / "reader")
    named = int(reader.read(f"{ARTIFACT}/manifest.json"))
    assert won[named]
    assert [key.rpartition("/")[2] for key in reader.list(ARTIFACT)] == [
        "manifest.json",
        f"only-{named}.txt",
        "who.txt",
    ]
    assert not stores[0].begin(ARTIFACT).commit(b"late")
    assert not stores[0].write_new(f"{ARTIFACT}/manifest.json", b"late")


def test_a_put_whose_answer_was_lost_is_known_as_ours(bucket):
    assert bucket.bucket.create("lock", b"1", "me")
    assert bucket.bucket.create("lock", b"1", "me") and not bucket.bucket.create("lock", b"1", "somebody")


def test_a_name_that_would_leave_its_folder_is_refused(ceph, bucket, tmp_path):
    assert ceph.send("PUT", f"/{bucket.bucket.address.bucket}/inbox/s/../../../evil", b"1")[0] == 200
    assert [info.key for info in bucket.objects("inbox")] == ["inbox/s/../../../evil"]
    with pytest.raises(BadInput, match=r"'\.\./\.\./\.\./evil'.*would leave its folder"):
        bucket.local_folder("inbox/s")
    assert not list(tmp_path.rglob("evil"))


def test_markers_of_empty_folders_are_no_objects(bucket):
    bucket.bucket._client.put_object(
        bucket_name=bucket.bucket.address.bucket, object_name="inbox/folder/", data=BytesIO(b""), length=0
    )
    assert list(bucket.list("inbox")) == []


def outage(ask) -> str:
    with pytest.raises(StoreUnavailable) as raised:
        ask()
    return str(raised.value)


def test_an_outage_is_retryable_and_passes(ceph, tmp_path, rng):
    store = BucketStore(new_address(ceph), tmp_path / "here", timeout_s=0.5)
    store.write("a", b"1")
    work, about = store.begin(ARTIFACT), ref((4, 5, 6))
    (work.folder / "file").write_text("1")
    asks = (
        lambda: store.read("a"),
        lambda: store.write("a", b"2"),
        lambda: store.exists("a"),
        lambda: list(store.list("a")),
        lambda: store.delete("a"),
        lambda: store.local("a"),
        lambda: store.write_new("b", b"2"),
        lambda: store.scratch(ARTIFACT),
        lambda: work.commit(b"{}"),
        lambda: volumes.create(about, work.zarr_spec("v.zarr"), slab_bytes=2**20),
    )
    ceph.stop_gateway()
    try:
        texts = at_once(*[lambda ask=ask: outage(ask) for ask in asks])
    finally:
        ceph.start_gateway()
    assert all("Check that the server runs" in text for text in texts)
    assert store.read("a") == b"1"
    volumes.create(about, work.zarr_spec("v.zarr"), slab_bytes=2**20)
    assert work.commit(b"{}") and store.read(f"{ARTIFACT}/file") == b"1"


def test_reading_an_array_from_a_server_that_hangs_ends(ceph, bucket, monkeypatch):
    work, about = bucket.begin(ARTIFACT), ref((4, 5, 6))
    volume = volumes.create(about, work.zarr_spec("v.zarr"), slab_bytes=2**20)
    volume[:] = np.ones((4, 5, 6), np.uint8)
    monkeypatch.setattr(volumes, "PATIENCE_S", 0.5)
    ceph.pause()
    try:
        with pytest.raises(StoreUnavailable, match="no answer from the store"):
            volume[:]
    finally:
        ceph.resume()
    monkeypatch.undo()
    assert volume[:].all()


def test_a_server_that_hangs_is_left_in_time_and_a_commit_under_way_is_not_torn(ceph, tmp_path):
    address = new_address(ceph)
    store = BucketStore(address, tmp_path / "here", timeout_s=0.5)
    work = store.begin(ARTIFACT)
    (work.folder / "file").write_text("1")
    bucket, create = store.bucket, store.bucket.create

    def pause(*words: object) -> bool:
        ceph.pause()
        return create(*words)

    bucket.create = pause
    try:
        with pytest.raises(StoreUnavailable):
            work.commit(b"{}")
        work.abandon()
    finally:
        ceph.resume()
    reader = BucketStore(address, tmp_path / "there")
    assert not reader.exists(f"{ARTIFACT}/manifest.json") or reader.read(f"{ARTIFACT}/file") == b"1"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"access_key": "nobody"}, "InvalidAccessKeyId.*PORELAY_S3_ACCESS_KEY"),
        ({"secret_key": "wrong-secret"}, "SignatureDoesNotMatch.*PORELAY_S3_SECRET_KEY"),
        ({"bucket": "porelay-not-there"}, "NoSuchBucket.*topology apply"),
    ],
)
def test_what_the_server_refuses_is_said_in_words_without_secrets(ceph, address, tmp_path, given, text):
    wrong = new_address(ceph, **{"bucket": address.bucket, **given})
    store = BucketStore(wrong, tmp_path)
    for ask in (lambda: store.read("a"), lambda: store.write("a", b"1"), lambda: list(store.list("a"))):
        with pytest.raises(BadInput, match=text) as raised:
            ask()
        shown = "".join(map(str, (raised.value, raised.value.__cause__, repr(wrong), store.url)))
        assert wrong.secret_key not in shown


def test_what_a_user_may_not_do_is_said_in_words(ceph, address, tmp_path):
    user = ceph.new_user()
    store = BucketStore(Address(ceph.url, address.bucket, user.access_key, user.secret_key), tmp_path)
    for ask in (lambda: store.read("a"), lambda: store.write("a", b"1"), lambda: store.exists("a")):
        with pytest.raises(BadInput, match=r"AccessDenied: this user may not do that\. Check"):
            ask()


def test_keys_for_arrays_lie_in_a_file_of_the_owner_only_and_not_in_the_spec(bucket):
    spec = bucket.zarr_spec("doctor/v.zarr")
    path = bucket._credentials()
    assert path.stat().st_mode & 0o777 == 0o600 and bucket.bucket.address.secret_key in path.read_text()
    assert bucket.bucket.address.secret_key not in json.dumps(spec)


def test_a_store_opens_from_the_settings(ceph, address, tmp_path):
    environment = {
        "PORELAY_S3_URL": f"{ceph.url}/{address.bucket}",
        "PORELAY_S3_ACCESS_KEY": ceph.access_key,
        "PORELAY_S3_SECRET_KEY": ceph.secret_key,
        "PORELAY_CACHE": str(tmp_path),
    }
    store = open_store(Settings.from_env(environment))
    store.write("opened", b"1")
    assert isinstance(store, BucketStore) and store.read("opened") == b"1"


def test_a_sweep_clears_attempts_and_uploads_of_workers_that_were_never_completed(bucket):
    works = [bucket.begin(ARTIFACT), bucket.begin(ARTIFACT)]
    for work in works:
        volumes.create(ref((4, 5, 6)), work.zarr_spec("v.zarr"), slab_bytes=2**20)
    assert works[0].commit(b"{}")
    client, name = bucket.bucket._client, bucket.bucket.address.bucket
    for key in ("artifacts/segment/k/a/big", "scratch/artifacts/x/checkpoint", "inbox/plan/slow.tif"):
        upload = client._create_multipart_upload(name, key, {})
        client._upload_part(name, key, b"x" * 1000, None, upload, 1)
    assert not bucket.sweep(3600)
    told = bucket.sweep(-60, dry_run=True)
    assert [one.kind for one in told] == ["attempt", "upload", "upload"]
    assert [one.size_bytes for one in told[1:]] == [1000, 1000] and told[0].key.endswith(works[1]._attempt)
    assert bucket.sweep(-60) == told and not bucket.sweep(-60)
    assert [upload.key for upload in bucket.bucket.uploads("")] == ["inbox/plan/slow.tif"]
    attempts = {info.key.split("/")[3] for info in bucket.bucket.objects("artifacts/")}
    assert attempts == {works[0]._attempt, "manifest.json"}
    assert f"{ARTIFACT}/v.zarr/zarr.json" in list(bucket.list("artifacts"))


def test_uploads_are_listed_page_by_page(bucket, monkeypatch):
    client, name = bucket.bucket._client, bucket.bucket.address.bucket
    keys = [f"scratch/{number}" for number in range(5)]
    for key in keys:
        client._create_multipart_upload(name, key, {})
    listed = client._list_multipart_uploads
    monkeypatch.setattr(client, "_list_multipart_uploads", lambda *words, **more: listed(*words, **more, max_uploads=2))
    assert [upload.key for upload in bucket.bucket.uploads("scratch/")] == keys


def test_checkpoints_that_nobody_touched_here_for_a_week_go_and_come_back_from_the_bucket(bucket):
    for name in ("old", "young", "other"):
        folder = bucket.scratch(f"artifacts/segment/{name}")
        (folder / "checkpoint").write_text(name)
        bucket.keep_scratch(f"artifacts/segment/{name}")
        if name == "old":
            for path in (folder / "checkpoint", folder):
                os.utime(path, (time.time() - OLD_S - 60,) * 2)
            old = folder
    assert not old.exists() and not list(old.parent.glob("old*"))
    assert (old.parent / "young" / "checkpoint").read_text() == "young"
    assert (bucket.scratch("artifacts/segment/old") / "checkpoint").read_text() == "old"
