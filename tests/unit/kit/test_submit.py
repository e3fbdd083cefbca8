import hashlib
import json

import pytest
from made import ALL, PLAN, finish, waiting

from porelay_kit import planning
from porelay_kit.runner import drops
from porelay_kit.runner import uploads as module
from porelay_kit.runner.state import folder_digest, run_id_for, stack_ref, start
from porelay_kit.runner.uploads import drop_of, put, size_of
from porelay_kit.store.folder import FolderStore
from porelay_schemas.errors import BadInput
from porelay_schemas.volumes import StackRef


@pytest.fixture
def files(tmp_path):
    """A stack, a folder of slices, labels, and a plan on a user's disk."""
    (tmp_path / "my scan.tif").write_bytes(b"stack")
    (tmp_path / "truth.tif").write_bytes(b"labels")
    (tmp_path / "forked.yaml").write_text(PLAN)
    slices = tmp_path / "slices"
    slices.mkdir()
    for name in ("b.tif", "a.tif", ".DS_Store"):
        (slices / name).write_bytes(name.encode())
    return tmp_path


def inbox(store) -> dict[str, bytes]:
    return {key.removeprefix("inbox/forked/"): store.read(key) for key in store.list("inbox")}


def taken(store, forked, key: str, truth: str | None = None, planes=()):
    """Do what the intake does with a file: start its run from what lies in the inbox."""

    def ref(key: str) -> StackRef:
        data = store.read(key)
        digest = hashlib.sha256(data).hexdigest()
        return StackRef(uri=key, name=key.rpartition("/")[2], sha256=digest, size_bytes=len(data))

    plan = planning.parse(store.read(f"{key}.plan.yaml").decode(), "sidecar")
    across = {axis: ref(f"{key}.plane-{axis}.tif") for axis in planes}
    return start(store, plan, ref(key), ref(truth) if truth else None, across)


def test_a_stack_lies_in_the_inbox_with_its_plan_and_checksums(lonely, store, files):
    answer = lonely.json("submit", files / "my scan.tif", "--plan", files / "forked.yaml")
    assert answer["drop"] == "inbox/forked/my_scan.tif" and answer["state"] == "dropped"
    there = inbox(store)
    assert set(there) == {"my_scan.tif", "my_scan.tif.plan.yaml", "my_scan.tif.sha256"}
    assert there["my_scan.tif"] == b"stack"
    sums = drops.sums(there["my_scan.tif.sha256"].decode())
    assert sums == {name: hashlib.sha256(there[name]).hexdigest() for name in ("my_scan.tif", "my_scan.tif.plan.yaml")}


def test_the_run_that_is_printed_is_the_one_that_the_intake_makes_of_the_drop(lonely, store, files, forked):
    words = ("submit", files / "my scan.tif", "--plan", files / "forked.yaml")
    answer = lonely.json(*words, "--truth", files / "truth.tif", "--seed", 7, "--set", "preprocess.sigma_voxels=2")
    state = taken(store, forked, answer["drop"], f"{answer['drop']}.truth.tif")
    assert answer["run_id"] == state.run_id
    assert state.plan().stages["preprocess"].use[0].params["sigma_voxels"] == [2.0, 2.0, 2.0] and state.plan().seed == 7


def test_separate_images_across_y_and_x_go_with_the_stack_and_make_the_run(lonely, store, files, forked):
    for axis in "yx":
        (files / f"{axis}.tif").write_bytes(f"plane {axis}".encode())
    words = ("submit", files / "my scan.tif", "--plan", "electrode-quick", "--voxel-um", 0.05)
    across = ("--plane", f"y={files / 'y.tif'}", "--plane", f"x={files / 'x.tif'}")
    answer = lonely.json(*words, "--set", "slicegan-trainer.mode=anisotropic", *across)
    state = taken(store, forked, answer["drop"], planes="yx")
    assert answer["run_id"] == state.run_id
    assert {axis: ref.name for axis, ref in state.run().planes.items()} == {
        "y": "my_scan.tif.plane-y.tif",
        "x": "my_scan.tif.plane-x.tif",
    }


def test_separate_images_that_the_plan_cannot_learn_from_are_refused_before_anything_is_sent(lonely, store, files):
    words = ("submit", files / "my scan.tif", "--plan", "electrode-quick", "--plane", f"y={files / 'truth.tif'}")
    refused = lonely(*words)
    assert isinstance(refused.exception, BadInput) and "none across x" in str(refused.exception)
    assert not list(store.list("inbox"))


@pytest.mark.parametrize("name", planning.shipped())
def test_a_plan_that_lies_beside_a_stack_is_the_plan_that_was_checked(name):
    plan = planning.load(name, voxel_um=(0.1, 1e-5, 0.02), seed=3)
    assert planning.parse(planning.dump(plan), "sidecar").digest() == plan.digest()


def test_a_folder_is_complete_when_its_marker_comes_last(store, files, forked, monkeypatch):
    written = []
    for name in ("write", "write_new", "upload"):
        real = getattr(FolderStore, name)

        def noted(self, first, second, *rest, real=real, name=name):
            written.append((second if name == "upload" else first).removeprefix("inbox/forked/"))
            return real(self, first, second)

        monkeypatch.setattr(FolderStore, name, noted)
    drop, new = put(store, drop_of(forked, files / "slices", files / "truth.tif"))
    assert new and written[:3] == ["slices.sha256", "slices.truth.tif", "slices.plan.yaml"]
    assert sorted(written[3:-1]) == ["slices/a.tif", "slices/b.tif"] and written[-1] == "slices/_complete.json"
    marker = json.loads(store.read("inbox/forked/slices/_complete.json"))
    assert [one["name"] for one in marker["files"]] == ["a.tif", "b.tif"] and marker["files"][0]["size_bytes"] == 5
    whole = folder_digest({one["name"]: one["sha256"] for one in marker["files"]})
    truth = stack_ref(files / "truth.tif")
    assert whole == stack_ref(files / "slices").sha256
    slices = StackRef(uri="inbox/forked/slices", name="slices", sha256=whole, size_bytes=10)
    assert drop.run_id == run_id_for(forked, slices, truth)


def test_two_stacks_of_one_name_lie_side_by_side(store, files, forked):
    first, _ = put(store, drop_of(forked, files / "my scan.tif", None))
    (files / "my scan.tif").write_bytes(b"other")
    second, new = put(store, drop_of(forked, files / "my scan.tif", None))
    assert new and second.key != first.key
    assert second.key == f"inbox/forked/my_scan-{second.identity}.tif"
    assert (store.read(first.key), store.read(second.key)) == (b"stack", b"other")


def test_one_stack_under_two_plans_is_two_drops(store, files, forked):
    put(store, drop_of(forked, files / "my scan.tif", None))
    other = planning.parse(PLAN, "forked", seed=5)
    second, new = put(store, drop_of(other, files / "my scan.tif", None))
    assert new and second.stack.name != "my_scan.tif"
    assert planning.parse(store.read(f"{second.key}.plan.yaml").decode(), "sidecar").seed == 5


def test_a_name_that_a_user_took_with_another_client_is_left_alone(store, files, forked):
    store.write("inbox/forked/my_scan.tif", b"theirs")
    drop, _ = put(store, drop_of(forked, files / "my scan.tif", None))
    assert store.read("inbox/forked/my_scan.tif") == b"theirs" and drop.key.endswith(f"-{drop.identity}.tif")


def test_an_upload_that_was_broken_off_is_finished_and_sends_nothing_twice(store, files, forked, monkeypatch):
    drop = drop_of(forked, files / "slices", None)
    put(store, drop)
    store.delete("inbox/forked/slices/b.tif")
    store.delete("inbox/forked/slices/_complete.json")
    sent = []
    real = FolderStore.upload

    def noted(self, path, key, *rest):
        sent.append(key)
        real(self, path, key, *rest)

    monkeypatch.setattr(FolderStore, "upload", noted)
    again, new = put(store, drop)
    assert (again.key, new, sent) == (drop.key, False, ["inbox/forked/slices/b.tif"])
    assert store.exists("inbox/forked/slices/_complete.json")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("stack.ome.tif", "stack.ome.tif"),
        ("../../etc/passwd", "_.._etc_passwd"),
        (".hidden.tif", "hidden.tif"),
        ("a.truth.tif", "a-truth.tif"),
        ("a.plan.yaml", "a-plan.yaml"),
        ("ä b.tif", "_b.tif"),
        ("x" * 300 + ".tif", "x" * 100 + ".tif"),
    ],
)
def test_a_users_file_name_becomes_a_plain_name_that_is_no_companions(name, key):
    assert drops.key_name(name) == key and drops.companion_of(key) is None


def test_what_lies_beside_a_drop_is_told_from_drops():
    beside = ["s.tif.plan.yaml", "s.tif.truth.tif", "s.tif.truth", "s.tif.sha256", "s.tif.rejected.txt", "s.tif.again"]
    beside += ["s.tif.plane-y.tif", "s.tif.plane-x"]
    assert {drops.companion_of(name) for name in beside} == {"s.tif"}
    assert drops.companion_of("s.tif") is None


def test_checksums_that_sha256sum_did_not_write_are_refused():
    with pytest.raises(BadInput, match=r"got 'not a sum'.*Write them anew"):
        drops.sums("0" * 64 + "  a.tif\nnot a sum\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("nothing.tif",), "no such file or folder"),
        (("empty.tif",), "0 bytes, wanted an image stack"),
        (("my scan.tif", "--plan", "elektrode"), "Did you mean 'electrode'"),
        (("my scan.tif", "--set", "segment.sigma=1"), "name one of them|no parameter"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_uploaded(lonely, store, files, words, text):
    (files / "empty.tif").write_bytes(b"")
    done = lonely("submit", files / words[0], *words[1:])
    with pytest.raises(BadInput, match=text):
        raise done.exception
    assert not list(store.list("inbox"))


def test_a_folder_that_no_worker_knows_is_refused(lonely, files, monkeypatch):
    monkeypatch.delenv("PORELAY_HOME")
    error = lonely("submit", files / "my scan.tif").exception
    assert isinstance(error, BadInput) and "use `porelay run`" in str(error)


def test_submitting_a_finished_run_again_tells_so_and_a_stopped_one_goes_on(command, store, broker, files, forked):
    words = ("submit", files / "my scan.tif", "--plan", files / "forked.yaml")
    state = taken(store, forked, command.json(*words)["drop"])
    finish(state, "ingest")
    state.failed("preprocess", BadInput("no"))
    state.cancel()
    again = command.json(*words)
    assert (again["run_id"], again["state"], again["asked"]) == (state.run_id, "taken up again", ["preprocess"])
    assert waiting(broker) == [(state.run_id, "preprocess")] and not state.cancelled() and not state.failures()
    finish(state, *ALL)
    assert command.json(*words)["state"] == "done"


def test_without_a_broker_the_intake_is_asked_to_look_again(lonely, store, files, forked):
    words = ("submit", files / "my scan.tif", "--plan", files / "forked.yaml")
    drop = lonely.json(*words)["drop"]
    store.write(f"{drop}.rejected.txt", b"no reader knows it")
    lonely.json(*words)
    assert store.exists(f"{drop}.again") and not store.exists(f"{drop}.rejected.txt")


def test_a_rejected_drop_is_the_failure_that_is_shown(lonely, store, files, monkeypatch):
    words = ("submit", files / "my scan.tif", "--plan", files / "forked.yaml")
    real = module._upload

    def rejected(store, drop, *rest):
        real(store, drop, *rest)
        store.write(f"{drop.key}.rejected.txt", b"my_scan.tif: no reader knows it. Save it as TIFF.")

    monkeypatch.setattr(module, "_upload", rejected)
    done = lonely(*words, "--wait")
    assert isinstance(done.exception, BadInput)
    assert "'inbox/forked/my_scan.tif' was rejected: my_scan.tif: no reader knows it" in str(done.exception)


def test_waiting_ends_with_table_report_and_exit_code(lonely, store, files, forked, monkeypatch):
    real = module._upload

    def run_at_once(store, drop, *rest):
        real(store, drop, *rest)
        state = taken(store, forked, drop.key)
        finish(state, *ALL)
        store.write(f"{state.prefix}/report.html", b"report")

    monkeypatch.setattr(module, "_upload", run_at_once)
    done = lonely("submit", files / "my scan.tif", "--plan", files / "forked.yaml", "--wait")
    assert done.exit_code == 0, done.exception
    assert "report: " in done.stdout and "mesher" in done.stdout


def test_submit_tells_how_much_it_reads_and_sends(lonely, files):
    done = lonely("submit", files / "slices", "--plan", files / "forked.yaml", "--truth", files / "truth.tif")
    said = [line.split() for line in done.stderr.splitlines()]
    told = [line[:2] for line in said if line[0] in ("reading", "uploading")]
    assert told == [["reading", "done"], ["uploading", "done"]] and len(done.stdout.splitlines()) == 1
    quiet = lonely("submit", files / "my scan.tif", "--plan", files / "forked.yaml", "--json")
    assert quiet.exit_code == 0 and quiet.stderr == ""


def test_every_byte_of_a_drop_is_told_once_read_and_once_sent(store, files, forked):
    read, sent = [], []
    drop = drop_of(forked, files / "slices", files / "truth.tif", read=read.append)
    put(store, drop, sent.append)
    assert sum(read) == sum(sent) == size_of(files / "slices", files / "truth.tif") == 5 + 5 + 6
    put(store, drop, sent.append)
    assert sum(sent) == 16
