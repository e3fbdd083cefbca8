from pathlib import Path

import pytest

from porelay_kit.store.folder import FolderStore, translate
from porelay_schemas.errors import BadInput, StoreUnavailable


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    error = translate(PermissionError(13, "Permission denied", str(tmp_path)))
    assert isinstance(error, BadInput)
    assert "not writable" in str(error) and "--home" in str(error)


def test_a_home_below_a_file_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"not a folder.*--home"):
        FolderStore(tmp_path / "file" / "home").write("a/b", b"1")


def test_a_full_disk_is_worth_another_try_and_says_so(tmp_path):
    error = translate(OSError(28, "No space left on device", str(tmp_path)))
    assert isinstance(error, StoreUnavailable)
    assert "disk is full" in str(error) and "continues where it was" in str(error)


def test_a_real_full_device_is_reported_as_full():
    with pytest.raises(StoreUnavailable, match="disk is full"):
        try:
            with Path("/dev/full").open("wb", buffering=0) as file:
                file.write(b"x")
        except OSError as error:
            raise translate(error) from error


def test_what_a_killed_worker_left_in_staging_is_removed_by_the_next_one(store):
    dead = store.begin("artifacts/segment/k")
    (dead.folder / "half").write_bytes(b"half")
    pid = dead.folder.name.split("@")[2]
    left = dead.folder.rename(dead.folder.with_name(dead.folder.name.replace(f"@{pid}@", "@999999999@")))
    store.begin("artifacts/segment/k")
    assert not left.exists()


def test_what_another_living_worker_prepares_is_left_alone(store):
    first, second = store.begin("artifacts/segment/k"), store.begin("artifacts/segment/k")
    assert first.folder.exists() and second.folder.exists() and first.folder != second.folder


def test_a_key_that_leaves_the_store_is_refused(store):
    for key in ("../x", "a/../../x", "/etc/passwd", "a//b", ""):
        with pytest.raises(BadInput, match="relative path"):
            store.read(key)


def test_a_stack_whose_name_has_spaces_and_umlauts_is_found(tmp_path, make_bench):
    from porelay_kit.runner.state import stack_ref

    path = tmp_path / "Probe ä 5%.tif"
    path.write_bytes(b"x")
    assert make_bench("ingest").stack(stack_ref(path)) == path


def test_a_link_out_of_a_dropped_folder_is_refused(tmp_path):
    store = FolderStore(tmp_path / "home")
    store.write("inbox/stack/0001.tif", b"1")
    (tmp_path / "secret.txt").write_text("not theirs")
    (tmp_path / "home/inbox/stack/0002.tif").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(BadInput, match=r"'0002\.tif' is a link to elsewhere\. Put the file itself there"):
        store.local_folder("inbox/stack")


def test_what_is_deleted_while_one_lists_is_left_out(store):
    for key in ("runs/a", "runs/b", "runs/c"):
        store.write(key, b"")
    listing = store.list("runs")
    assert next(listing) == "runs/a"
    store.delete("runs/b")
    assert list(listing) == ["runs/c"]
