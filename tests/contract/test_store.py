"""What a store must do, for every store there is."""

import threading

import numpy as np
import pytest

from porelay_kit import volumes
from porelay_kit.store.folder import FolderStore
from porelay_schemas.volumes import VolumeRef


@pytest.fixture(params=[FolderStore])
def store(request, tmp_path):
    return request.param(tmp_path / "home")


def test_an_object_is_read_as_it_was_written(store):
    store.write("a/b.json", b"1")
    store.write("a/b.json", b"2")
    assert store.read("a/b.json") == b"2"
    assert store.exists("a/b.json") and not store.exists("a") and not store.exists("a/c")
    assert store.local("a/b.json").read_bytes() == b"2"


def test_what_is_not_there_is_a_key_error(store):
    for ask in (store.read, store.local):
        with pytest.raises(KeyError):
            ask("not/there")
    store.delete("not/there")


def test_of_many_that_write_new_one_wins(store):
    won = []
    threads = [
        threading.Thread(target=lambda n=n: store.write_new("lock", str(n).encode()) and won.append(n))
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and store.read("lock") == str(won[0]).encode()


def test_keys_are_listed_sorted_and_below_the_prefix_only(store):
    for key in ("runs/b/x", "runs/a/y", "runs/a/x", "plans/z"):
        store.write(key, b"")
    assert list(store.list("runs")) == ["runs/a/x", "runs/a/y", "runs/b/x"]
    assert list(store.list("nothing")) == []
    store.delete("runs/a")
    assert list(store.list("runs")) == ["runs/b/x"]


def test_nothing_of_an_artifact_is_seen_before_its_commit(store):
    work = store.begin("artifacts/segment/k")
    (work.folder / "labels.txt").write_text("1")
    assert list(store.list("artifacts")) == []
    assert work.commit(b"{}")
    assert set(store.list("artifacts")) == {"artifacts/segment/k/labels.txt", "artifacts/segment/k/manifest.json"}


def test_of_two_that_commit_one_artifact_the_first_stays(store):
    first, second = store.begin("artifacts/segment/k"), store.begin("artifacts/segment/k")
    for number, work in enumerate((first, second)):
        (work.folder / "who.txt").write_text(str(number))
    assert first.commit(b"{}") and not second.commit(b"{}")
    assert store.read("artifacts/segment/k/who.txt") == b"0"
    assert list(store.list("staging")) == []


def test_an_abandoned_artifact_leaves_nothing(store):
    work = store.begin("artifacts/segment/k")
    (work.folder / "x").write_text("x")
    work.abandon()
    assert list(store.list("staging")) == [] and list(store.list("artifacts")) == []


def test_an_array_is_there_after_the_commit(store):
    work = store.begin("artifacts/segment/k")
    ref = VolumeRef(
        prefix="artifacts/segment/k", name="v.zarr", kind="labels", shape=(4, 5, 6), dtype="uint8", voxel_um=(1, 1, 1)
    )
    array = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    volumes.create(ref, work.zarr_spec("v.zarr"), slab_bytes=2**20)[:] = array
    work.commit(b"{}")
    assert np.array_equal(volumes.Volume(ref, store.zarr_spec("artifacts/segment/k/v.zarr"))[:], array)


def test_scratch_stays_until_it_is_dropped(store):
    (store.scratch("artifacts/t/k") / "checkpoint").write_text("1")
    assert (store.scratch("artifacts/t/k") / "checkpoint").read_text() == "1"
    store.drop_scratch("artifacts/t/k")
    assert not list(store.scratch("artifacts/t/k").iterdir())
