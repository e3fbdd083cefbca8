"""What lies in the inbox, as drops, and whether they are all there."""

import json
from datetime import UTC, datetime

import pytest

from porelay_ingest.intake.completeness import Patience, Told, judge, marker
from porelay_ingest.intake.drops import group, scope
from porelay_kit.store.base import ObjectInfo
from porelay_schemas.errors import BadInput

PLANS = ("electrode", "labels")
WHEN = datetime(2026, 11, 21, tzinfo=UTC)
PATIENT = Patience(quiet_s=120.0)


def objects(*keys, size=10, etag="e"):
    return [ObjectInfo(f"inbox/{key}", size, etag, WHEN) for key in keys]


def only(*keys, **more):
    (drop,) = group(objects(*keys, **more), PLANS)
    return drop


def slices(*numbers, folder="electrode/s"):
    return [f"{folder}/slice_{number:04d}.tif" for number in numbers]


def test_a_file_below_a_plan_and_one_without():
    drop = only("electrode/stack.tif")
    assert (drop.key, drop.plan, drop.name, drop.folder) == (
        "inbox/electrode/stack.tif", "electrode", "stack.tif", False,
    )  # fmt: skip
    assert only("stack.tif").plan == "electrode"
    assert only("labels/a b+c.tif").plan == "labels"


def test_a_folder_of_slices_is_one_drop_and_keeps_its_marker():
    drop = only(*slices(1, 2), "electrode/s/_complete.json", "electrode/s/.done")
    assert (drop.key, drop.folder) == ("inbox/electrode/s", True)
    assert sorted(drop.names) == [".done", "_complete.json", "slice_0001.tif", "slice_0002.tif"]


def test_what_lies_beside_a_drop_belongs_to_it():
    beside = ["a.tif.plan.yaml", "a.tif.sha256", "a.tif.rejected.txt", "a.tif.again", "a.tif.truth.tif"]
    drop = only("electrode/a.tif", *(f"electrode/{name}" for name in beside))
    assert drop.plan_file and drop.sums and drop.rejected and drop.again
    assert drop.part_key(".truth") == "inbox/electrode/a.tif.truth.tif"
    folder = only("electrode/a.tif", "electrode/a.tif.truth/1.tif", "electrode/a.tif.truth/2.tif")
    assert (folder.part_key(".truth"), len(folder.parts[".truth"])) == ("inbox/electrode/a.tif.truth", 2)
    planes = only("electrode/a.tif", "electrode/a.tif.plane-x.png", "electrode/a.tif.plane-y/1.tif")
    assert planes.plane_axes == ("y", "x") and planes.part_key(".truth") is None
    assert planes.part_key(".plane-y") == "inbox/electrode/a.tif.plane-y"


def test_what_lies_beside_nothing_is_no_drop():
    assert group(objects("electrode/a.tif.plan.yaml", "electrode/a.tif.rejected.txt"), PLANS) == []


def test_hidden_files_and_names_that_lead_elsewhere_are_no_drops():
    odd = ["electrode/.DS_Store", ".hidden", "electrode/../x.tif", "electrode//x.tif", "electrode/a\nb.tif", "./a.tif"]
    assert group(objects(*odd), PLANS) == []
    assert [scope(f"inbox/{key}", PLANS) for key in odd[2:]] == [None] * 4
    assert scope("artifacts/a", PLANS) is None and scope("inbox", PLANS) is None


def test_an_object_that_stands_for_the_folder_is_not_its_content():
    empty = ObjectInfo("inbox/electrode/s", 0, "e", WHEN)
    (drop,) = group([empty, *objects(*slices(1, 2))], PLANS)
    assert drop.folder and len(drop.objects) == 2


def test_a_plan_that_is_not_known_is_that_of_the_drop_all_the_same():
    assert only("electrod/stack.tif").plan == "electrod"
    drop = only("mine/stack.tif", "mine/stack.tif.plan.yaml")
    assert drop.key == "inbox/mine/stack.tif" and drop.plan_file


def test_a_folder_of_slices_without_any_plan_is_one_drop():
    assert only(*slices(1, 2, 3, folder="slices")).key == "inbox/slices"
    drop = only(*slices(1, 2, 3, folder="slices"), "slices.plan.yaml")
    assert drop.key == "inbox/slices" and drop.plan_file and drop.folder


def test_all_objects_of_a_drop_begin_with_its_scope():
    keys = ["electrode/s/1.tif", "electrode/s.plan.yaml", "electrode/s.truth/1.tif", "electrode/s.again"]
    assert {scope(f"inbox/{key}", PLANS) for key in keys} == {"inbox/electrode/s"}
    assert scope("inbox/stack.tif.plan.yaml", PLANS) == "inbox/stack.tif"
    assert {scope(f"inbox/{key}", PLANS) for key in ("mine/a.tif", "mine/a.tif.again", "mine.plan.yaml")} == {
        "inbox/mine"
    }


def test_the_version_changes_with_content_plan_and_truth_and_not_with_what_the_intake_writes():
    one = only("electrode/a.tif")
    assert only("electrode/a.tif", "electrode/a.tif.rejected.txt", "electrode/a.tif.again").version == one.version
    versions = {
        one.version,
        only("electrode/a.tif", etag="f").version,
        only("electrode/a.tif", size=11).version,
        only("electrode/a.tif", "electrode/a.tif.plan.yaml").version,
        only("electrode/a.tif", "electrode/a.tif.truth.tif").version,
    }
    assert len(versions) == 5


def text_of(drop, told=Told(), quiet_for_s=0.0, patience=PATIENT):  # noqa: B008
    wait = judge(drop, told, quiet_for_s, patience)
    return wait.text if wait else None


def listed(*numbers, size=10):
    files = [{"name": f"slice_{n:04d}.tif", "size_bytes": size, "sha256": "0" * 64} for n in numbers]
    return Told(marker(json.dumps({"files": files}).encode(), "s"))


def test_a_file_is_complete_when_it_is_seen():
    assert text_of(only("electrode/a.tif")) is None


def test_a_file_that_is_still_being_copied_into_a_folder_waits_until_it_settles():
    patience = Patience(settle_s=2.0)
    assert text_of(only("electrode/a.tif"), quiet_for_s=1.0, patience=patience) == "waiting: it has only just come"
    assert judge(only("electrode/a.tif"), Told(), 0.5, patience).again_s == 1.5
    assert text_of(only("electrode/a.tif"), quiet_for_s=2.0, patience=patience) is None


def test_an_empty_file_is_an_upload_that_has_begun_until_nothing_comes():
    empty = only("electrode/a.tif", size=0)
    assert text_of(empty) == "waiting: a.tif is empty so far"
    assert text_of(empty, quiet_for_s=121) is None, "then it is refused as empty, in words"


def test_a_folder_with_a_marker_is_complete_when_all_that_it_names_is_there():
    told = listed(1, 2, 3)
    assert text_of(only(*slices(1, 2, 3)), told) is None
    assert text_of(only(*slices(1)), told) == "waiting: 2 slices missing (slice_0002.tif, slice_0003.tif)"
    assert text_of(only(*slices(1, 2, 3), size=9), told).endswith("not of the size that _complete.json tells")
    with pytest.raises(BadInput, match=r"s: slice_0004.tif is not in its _complete.json, wanted the slices"):
        judge(only(*slices(1, 2, 3, 4)), told, 0.0, PATIENT)
    assert text_of(only(*slices(1, 2, 3), "electrode/s/notes.txt"), told) is None


def test_an_empty_done_file_ends_a_folder():
    assert text_of(only(*slices(1, 2)), Told(done=True)) is None


def test_a_folder_is_complete_by_the_number_of_its_slices():
    told = Told(count=4)
    assert text_of(only(*slices(1, 2, 4)), told) == (
        "waiting: 3 of 4 slices are there; absent between those that are there: 0003"
    )
    assert text_of(only(*slices(1, 2, 3, 4)), told) is None
    with pytest.raises(BadInput, match="holds 5 slices, 4 are announced"):
        judge(only(*slices(1, 2, 3, 4, 5)), told, 0.0, PATIENT)
    assert text_of(only(*slices(1)), Told(marker(b'{"count": 2}', "s"))) == "waiting: 1 of 2 slices are there"


def test_a_folder_is_complete_by_checksums_that_name_its_slices():
    told = Told(names=("slice_0001.tif", "slice_0002.tif"))
    assert text_of(only(*slices(1)), told) == "waiting: 1 slice missing (slice_0002.tif)"
    assert text_of(only(*slices(1, 2)), told) is None


def test_without_marker_a_folder_is_complete_when_nothing_changes_and_no_number_is_missing():
    drop = only(*slices(*range(410, 420)))
    wait = judge(drop, Told(), 20.0, PATIENT)
    assert wait.text == "waiting: 10 slices so far; nothing may change for 120 s" and wait.again_s == 100.0
    assert text_of(drop, quiet_for_s=120.0) is None


def test_the_numbers_that_are_missing_are_named_as_in_the_names():
    there = [number for number in range(400, 1000) if number not in (412, 413, 977)]
    drop = only(*slices(*there))
    for quiet_for_s in (0.0, 10_000.0):
        assert text_of(drop, quiet_for_s=quiet_for_s) == "waiting: 3 slices missing (0412, 0413, 0977)"
    plain = only(*(f"electrode/s/{n}.png" for n in range(1, 40) if n != 7))
    assert text_of(plain) == "waiting: 1 slice missing (7)"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"files": 3}', b'{"files": [{"name": 1}]}', b'{"count": 0}']
)
def test_a_marker_that_cannot_be_read_is_refused(data):
    with pytest.raises(BadInput, match=r"s/_complete.json: .* Write it anew\."):
        marker(data, "s")
