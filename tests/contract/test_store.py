"""What a store must do, for every store there is: a folder, and a bucket on a real S3 server."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from servers.buckets import ARTIFACT, at_once, new_address, ref

from porelay_kit import volumes
from porelay_kit.store.bucket import BucketStore
from porelay_kit.store.folder import FolderStore
from porelay_schemas.errors import BadInput


@pytest.fixture(params=["folder", "bucket"])
def machines(request, tmp_path):
    """Return `machines(name)`: the store as one more machine sees it."""
    if request.param == "folder":
        return lambda name: FolderStore(tmp_path / "home")
    address = new_address(request.getfixturevalue("ceph"))
    return lambda name: BucketStore(address, tmp_path / name)


@pytest.fixture
def store(machines):
    return machines("here")


def test_an_object_is_read_as_it_was_written(store):
    store.write("a/b.json", b"1")
    store.write("a/b.json", b"2")
    assert store.read("a/b.json") == b"2"
    assert store.exists("a/b.json") and not store.exists("a") and not store.exists("a/c")
    assert store.local("a/b.json").read_bytes() == b"2"


def test_what_is_not_there_is_a_key_error(store):
    for ask in (store.read, store.local, store.local_folder):
        for key in ("not/there", f"{ARTIFACT}/manifest.json", f"{ARTIFACT}/labels.txt"):
            with pytest.raises(KeyError):
                ask(key)
    store.delete("not/there")
    store.delete(f"{ARTIFACT}/labels.txt")


@pytest.mark.parametrize("key", ["", "../up", "a/../../up", "/etc/passwd", "a//b", "a/./b"])
def test_a_key_leads_nowhere_else(store, key):
    for ask in (store.read, store.local, store.local_folder, store.exists, store.delete, store.begin, store.scratch):
        with pytest.raises(BadInput, match="relative path"):
            ask(key)
    with pytest.raises(BadInput, match="relative path"):
        store.write(key, b"")
    with pytest.raises(BadInput, match="relative path"):
        list(store.objects(key or "../up"))


@pytest.mark.parametrize("key", ["a b/c+d.txt", "ü/日本.txt", "100%41/a&b=c?.txt", "x/'q\"~#.txt", "[a]/{b}|c^`.txt"])
def test_a_key_may_hold_any_character(store, machines, tmp_path, key):
    store.write(key, b"here")
    (tmp_path / "file").write_bytes(b"there")
    store.upload(tmp_path / "file", f"up/{key}")
    other = machines("there")
    assert other.read(key) == b"here" and other.local(f"up/{key}").read_bytes() == b"there"
    assert list(other.list(key.split("/")[0])) == [key]
    store.delete(key)
    assert not other.exists(key)


def test_of_many_that_write_new_one_wins(store):
    won = at_once(*[lambda n=n: store.write_new("lock", str(n).encode()) for n in range(16)])
    assert won.count(True) == 1 and store.read("lock") == str(won.index(True)).encode()
    assert not store.write_new("lock", b"late")


def test_keys_are_listed_sorted_and_below_the_prefix_only(store):
    for key in ("runs/b/x", "runs/a/y", "runs/a/x", "runs/a-b", "runs/a.b", "plans/z"):
        store.write(key, b"")
    assert list(store.list("runs")) == ["runs/a-b", "runs/a.b", "runs/a/x", "runs/a/y", "runs/b/x"]
    assert list(store.list("nothing")) == []
    store.delete("runs/a")
    assert list(store.list("runs/")) == ["runs/a-b", "runs/a.b", "runs/b/x"]


def test_objects_tell_size_time_and_a_new_etag_for_new_content(store):
    store.write("inbox/a", b"123")
    store.write("inbox/b", b"")
    first, empty = store.objects("inbox")
    assert (first.key, first.size_bytes, empty.size_bytes) == ("inbox/a", 3, 0)
    assert first.modified.tzinfo is not None and first.modified <= empty.modified
    store.write("inbox/a", b"456")
    assert next(iter(store.objects("inbox"))).etag != first.etag


def test_a_big_object_comes_back_byte_for_byte(store, machines, tmp_path, rng):
    content = rng.bytes(20 * 2**20 + 17)
    (tmp_path / "big").write_bytes(content)
    store.upload(tmp_path / "big", "inbox/big.tif")
    assert machines("there").local("inbox/big.tif").read_bytes() == content
    store.write("inbox/copy.tif", content)
    assert store.read("inbox/copy.tif") == content


def test_a_local_copy_follows_the_object(store, tmp_path):
    for content in (b"first", b"other", b"first"):
        (tmp_path / "file").write_bytes(content)
        store.upload(tmp_path / "file", "inbox/a.tif")
        path = store.local("inbox/a.tif")
        assert path.read_bytes() == content and path.name == "a.tif"


def test_a_local_folder_holds_what_is_below_the_prefix(store, machines):
    for key in ("inbox/stack/0001.tif", "inbox/stack/deep/0002.tif", "inbox/stack-2/0003.tif"):
        store.write(key, key.encode())
    other = machines("there")
    folder = other.local_folder("inbox/stack")
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(names) == {"0001.tif", "deep/0002.tif"} and folder.name == "stack"
    assert names["deep/0002.tif"].read_bytes() == b"inbox/stack/deep/0002.tif"
    store.delete("inbox/stack/0001.tif")
    assert not (other.local_folder("inbox/stack") / "0001.tif").exists()


def test_objects_can_be_asked_for_by_the_beginning_of_a_name(store):
    for key in ("inbox/p/a.tif", "inbox/p/a.tif.plan.yaml", "inbox/p/ab/1", "inbox/p/b.tif", "inbox/q/a.tif"):
        store.write(key, b"12")
    found = list(store.beginning("inbox/p/a"))
    assert [info.key for info in found] == ["inbox/p/a.tif", "inbox/p/a.tif.plan.yaml", "inbox/p/ab/1"]
    assert {info.size_bytes for info in found} == {2}
    assert list(store.beginning("inbox/p/c")) == [] and list(store.beginning("nothing/at/all")) == []


def test_nothing_of_an_artifact_is_seen_before_its_commit(store, machines):
    work, other = store.begin(ARTIFACT), machines("there")
    (work.folder / "labels.txt").write_text("1")
    (work.folder / "deep").mkdir()
    (work.folder / "deep" / "a.txt").write_text("2")
    assert list(store.list("artifacts")) == [] and not other.exists(f"{ARTIFACT}/labels.txt")
    assert work.commit(b"{}")
    keys = [f"{ARTIFACT}/deep/a.txt", f"{ARTIFACT}/labels.txt", f"{ARTIFACT}/manifest.json"]
    for prefix in ("artifacts", "artifacts/segment", ARTIFACT):
        assert list(other.list(prefix)) == keys
    assert list(other.list(f"{ARTIFACT}/deep")) == keys[:1]
    assert other.local(f"{ARTIFACT}/labels.txt").read_text() == "1"
    assert (other.local_folder(f"{ARTIFACT}/deep") / "a.txt").read_text() == "2"
    assert not work.folder.exists()


def test_of_two_that_commit_one_artifact_the_first_stays(store):
    first, second = store.begin(ARTIFACT), store.begin(ARTIFACT)
    for number, work in enumerate((first, second)):
        (work.folder / "who.txt").write_text(str(number))
    assert first.commit(b"{}") and not second.commit(b"{}")
    assert store.read(f"{ARTIFACT}/who.txt") == b"0"
    assert list(store.list("staging")) == []


def test_of_many_that_commit_at_once_one_wins_and_only_its_files_are_there(machines):
    works = [machines(f"machine-{number}").begin(ARTIFACT) for number in range(6)]
    for number, work in enumerate(works):
        for name in ("who.txt", f"only-{number}.txt"):
            (work.folder / name).write_text(str(number))
    won = at_once(*[lambda n=n, w=w: w.commit(str(n).encode()) for n, w in enumerate(works)])
    store, winner = machines("late"), won.index(True)
    assert won.count(True) == 1
    assert [key.rpartition("/")[2] for key in store.list(ARTIFACT)] == [
        "manifest.json",
        f"only-{winner}.txt",
        "who.txt",
    ]
    assert store.read(f"{ARTIFACT}/manifest.json") == store.read(f"{ARTIFACT}/who.txt") == str(winner).encode()


def test_an_abandoned_artifact_leaves_nothing(store):
    work = store.begin(ARTIFACT)
    (work.folder / "x").write_text("x")
    volumes.create(ref((4, 5, 6)), work.zarr_spec("v.zarr"), slab_bytes=2**20)[:] = np.ones((4, 5, 6), np.uint8)
    work.abandon()
    assert list(store.list("staging")) == [] and list(store.list("artifacts")) == []
    assert not work.folder.exists()


def test_an_artifact_that_was_deleted_can_be_made_anew(store, machines):
    reader = machines("there")
    for content in ("old", "new"):
        work = store.begin(ARTIFACT)
        (work.folder / "a.txt").write_text(content)
        assert work.commit(b"{}")
        assert reader.read(f"{ARTIFACT}/a.txt") == reader.local(f"{ARTIFACT}/a.txt").read_bytes() == content.encode()
        if content == "old":
            store.delete(ARTIFACT)
            assert not reader.exists(f"{ARTIFACT}/a.txt")


@pytest.mark.parametrize(("dtype", "kind"), [("uint8", "labels"), ("uint16", "grey"), ("float32", "grey")])
def test_an_array_is_there_after_the_commit(store, machines, rng, dtype, kind):
    work, about = store.begin(ARTIFACT), ref((150, 70, 65), dtype, kind)
    array = rng.integers(0, 4, about.shape).astype(dtype)
    volume = volumes.create(about, work.zarr_spec("v.zarr"), slab_bytes=2**20)
    for z0 in range(0, about.shape[0], volume.shard[0]):
        volume[z0 : z0 + volume.shard[0]] = array[z0 : z0 + volume.shard[0]]
    work.commit(b"{}")
    read = volumes.Volume(about, machines("there").zarr_spec(f"{ARTIFACT}/v.zarr"))
    assert np.array_equal(read[:], array)
    assert np.array_equal(read[3:140, 60:70, 1:2], array[3:140, 60:70, 1:2])


def test_threads_write_shards_and_parts_of_shards_at_once(store, rng):
    work, about = store.begin(ARTIFACT), ref((96, 70, 65))
    array = rng.integers(0, 4, about.shape, np.uint8)
    volume = volumes.create(about, work.zarr_spec("v.zarr"), slab_bytes=2**17)
    assert volume.shard[0] < 48, "several shards are wanted"

    def write(z0: int) -> None:
        volume[z0 : z0 + 8] = array[z0 : z0 + 8]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(0, 96, 8)))
    assert work.commit(b"{}")
    assert np.array_equal(volumes.Volume(about, store.zarr_spec(f"{ARTIFACT}/v.zarr"))[:], array)


def test_scratch_stays_until_it_is_dropped(store):
    (store.scratch(ARTIFACT) / "checkpoint").write_text("1")
    assert (store.scratch(ARTIFACT) / "checkpoint").read_text() == "1"
    store.drop_scratch(ARTIFACT)
    assert not list(store.scratch(ARTIFACT).iterdir())


def test_scratch_goes_on_on_another_machine_and_comes_back(machines):
    here, there = machines("here"), machines("there")
    folder = here.scratch(ARTIFACT)
    for name in ("step-1", "step-2"):
        (folder / name).write_text(name)
    here.keep_scratch(ARTIFACT)
    folder = there.scratch(ARTIFACT)
    assert sorted(path.name for path in folder.iterdir()) == ["step-1", "step-2"]
    (folder / "step-1").unlink()
    (folder / "step-3").write_text("3")
    there.keep_scratch(ARTIFACT)
    folder = here.scratch(ARTIFACT)
    assert sorted(path.name for path in folder.iterdir()) == ["step-2", "step-3"]
    here.drop_scratch(ARTIFACT)
    assert not list(machines("third").scratch(ARTIFACT).iterdir())


def test_scratch_that_was_not_kept_survives_a_kill_on_the_same_machine(machines):
    (machines("here").scratch(ARTIFACT) / "step-1").write_text("1")
    machines("here").keep_scratch(ARTIFACT)
    (machines("here").scratch(ARTIFACT) / "step-2").write_text("2")
    assert sorted(path.name for path in machines("here").scratch(ARTIFACT).iterdir()) == ["step-1", "step-2"]


def left_behind(store, prefix):
    """Prepare an artifact with a file and an array, and let the worker die with it."""
    work = store.begin(prefix)
    (work.folder / "half.txt").write_text("half")
    volumes.create(ref((4, 5, 6)), work.zarr_spec("v.zarr"), slab_bytes=2**20)
    if isinstance(store, FolderStore):
        name, host, _, rest = work.folder.name.split("@")
        work.folder.rename(work.folder.with_name(f"{name}@{host}@999999999@{rest}"))


def test_only_what_was_left_half_done_long_ago_is_swept(store, machines):
    work = store.begin(ARTIFACT)
    volumes.create(ref((4, 5, 6)), work.zarr_spec("v.zarr"), slab_bytes=2**20)
    assert work.commit(b"{}")
    store.write("runs/r/run.json", b"{}")
    store.write("inbox/.tmp-mine", b"the user's")
    left_behind(store, ARTIFACT)
    left_behind(store, "artifacts/segment/other")
    before = {place: list(store.list(place)) for place in ("artifacts", "runs", "inbox")}
    other = machines("there")
    assert not other.sweep(3600) and not other.sweep(3600, dry_run=True)
    told = other.sweep(-60, dry_run=True)
    assert [one.kind for one in told] == ["attempt", "attempt"] and all(one.size_bytes > 100 for one in told)
    assert other.sweep(-60) == told and not other.sweep(-60)
    assert {place: list(store.list(place)) for place in before} == before
    assert f"{ARTIFACT}/v.zarr/zarr.json" in before["artifacts"]
    assert store.read("inbox/.tmp-mine") == b"the user's"


def test_an_upload_tells_of_every_byte(store, tmp_path, rng):
    (tmp_path / "big").write_bytes(rng.bytes(20 * 2**20 + 17))
    sent: list[int] = []
    store.upload(tmp_path / "big", "inbox/big.tif", sent.append)
    assert sum(sent) == 20 * 2**20 + 17 and len(sent) > 2
