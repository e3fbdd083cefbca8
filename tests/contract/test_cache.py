"""The local copies of a bucket's objects, on a real S3 server: their limit, and who shares them."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers.buckets import new_address

from porelay_kit.settings import Settings
from porelay_kit.store import cache, open_store
from porelay_kit.store.bucket import BucketStore
from porelay_schemas.errors import StoreUnavailable

SIZE = 400_000
LIMIT = 2**20
"""Room for two."""


@pytest.fixture
def store(ceph, tmp_path, monkeypatch) -> BucketStore:
    monkeypatch.setattr(cache, "FREE_BYTES", 0)
    return BucketStore(new_address(ceph), tmp_path / "cache", cache_bytes=LIMIT)


def kept(store) -> int:
    return cache.size_of(store.cache._root)


def put(store, *names, size=SIZE):
    for name in names:
        store.write(f"inbox/{name}", name.encode() * (size // len(name)))


def get(store, name) -> Path:
    return store.local(f"inbox/{name}")


def forget(store, seconds=cache.RECENT_S + 1):
    """Let time pass for what was asked for so far."""
    for kind in cache.KINDS:
        for entry in (store.cache._root / kind).glob("*"):
            at = entry.stat().st_mtime - seconds
            os.utime(entry, (at, at))
    with store.cache._lock:
        store.cache._pins = {path: (handle, at - seconds) for path, (handle, at) in store.cache._pins.items()}


def test_the_copies_stay_below_the_limit_and_the_one_asked_for_longest_ago_goes_first(store):
    put(store, "a", "b", "c")
    first, second = get(store, "a"), get(store, "b")
    forget(store, 3600)
    assert get(store, "a") == first
    forget(store)
    third = get(store, "c")
    assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
    assert kept(store) < LIMIT


def test_folders_are_kept_below_the_limit_too(store):
    for name in ("x", "y", "z"):
        put(store, f"{name}/1", f"{name}/2", size=SIZE // 2)
        assert len(list(store.local_folder(f"inbox/{name}").iterdir())) == 2
        forget(store)
        assert kept(store) < LIMIT
    assert len(list((store.cache._root / "folders").iterdir())) == 2


def test_what_was_asked_for_in_the_last_minutes_stays_even_above_the_limit(store):
    put(store, "a", "b", "c")
    paths = [get(store, name) for name in "abc"]
    assert all(path.exists() for path in paths) and kept(store) > LIMIT


def test_what_a_stage_under_way_was_given_stays_until_its_end(store):
    put(store, *"abcde")
    work = store.begin("artifacts/segment/k")
    path = get(store, "a")
    for name in "bcd":
        forget(store)
        get(store, name)
    assert path.exists()
    work.abandon()
    work.abandon()
    forget(store)
    get(store, "e")
    assert not path.exists() and kept(store) < LIMIT


def test_what_another_process_works_with_is_spared_and_goes_when_that_is_dead(store, tmp_path):
    put(store, *"abcd")
    address, path = store.bucket.address, get(store, "a")
    forget(store)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, address.endpoint, address.bucket, str(tmp_path / "cache")],
        env=os.environ | {"ACCESS": address.access_key, "SECRET": address.secret_key},
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline().strip().decode() == str(path)
    for name in "bc":
        forget(store)
        get(store, name)
    assert path.exists()
    child.kill()
    child.wait()
    forget(store)
    get(store, "d")
    assert not path.exists()


HOLDS = """
import os, sys, time
from pathlib import Path
from porelay_kit.store.bucket import BucketStore
from porelay_kit.store.s3 import Address
address = Address(sys.argv[1], sys.argv[2], os.environ["ACCESS"], os.environ["SECRET"])
store = BucketStore(address, Path(sys.argv[3]))
work = store.begin("artifacts/segment/k")
print(store.local("inbox/a"), flush=True)
time.sleep(60)
"""


def test_a_copy_that_is_gone_is_fetched_again_whole(store):
    put(store, "a", "b/1")
    for _ in range(2):
        assert get(store, "a").read_bytes() == b"a" * SIZE
        assert (store.local_folder("inbox/b") / "1").stat().st_size == SIZE // 3 * 3
        for kind in cache.KINDS:
            for entry in (store.cache._root / kind).iterdir():
                os.rename(entry, store.cache._root / f"gone-{time.monotonic_ns()}")


def test_many_that_share_a_cache_that_is_far_too_small_all_read_what_they_asked_for(ceph, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "RECENT_S", 0.0)
    address = new_address(ceph)
    stores = [BucketStore(address, tmp_path / "cache", cache_bytes=LIMIT) for _ in range(4)]
    put(stores[0], *"abcdef")

    def read(number: int) -> list[bytes]:
        store, found = stores[number], []
        for turn in range(12):
            work = store.begin(f"artifacts/segment/{number}")
            found.append(get(store, "abcdef"[(number + turn) % 6]).read_bytes())
            work.abandon()
        return found

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(read, range(4))):
            assert found == [b"abcdef"[(number + turn) % 6 :][:1] * SIZE for turn in range(12)]
    assert kept(stores[0]) <= LIMIT + 4 * SIZE


def test_a_disk_that_fills_up_makes_room_below_the_limit(store, monkeypatch):
    put(store, "a", "b")
    path = get(store, "a")
    forget(store)
    monkeypatch.setattr(cache, "FREE_BYTES", 2**60)
    get(store, "b")
    assert not path.exists()


def test_a_full_disk_is_told_with_the_place_and_the_setting(store, monkeypatch):
    put(store, "a", "b/1")

    def full(key, path):
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    monkeypatch.setattr(store.bucket, "download", full)
    for ask in (lambda: get(store, "a"), lambda: store.local_folder("inbox/b")):
        with pytest.raises(StoreUnavailable, match=r"cache '.*cache.*': the disk is full.*PORELAY_CACHE"):
            ask()


def test_the_limit_is_a_setting(ceph, tmp_path):
    address = new_address(ceph)
    environment = {
        "PORELAY_S3_URL": address.url,
        "PORELAY_S3_ACCESS_KEY": address.access_key,
        "PORELAY_S3_SECRET_KEY": address.secret_key,
        "PORELAY_CACHE": str(tmp_path),
        "PORELAY_CACHE_BYTES": "3MiB",
    }
    assert open_store(Settings.from_env(environment)).cache._limit_bytes == 3 * 2**20
