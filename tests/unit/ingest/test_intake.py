"""From the inbox to a run, on a folder that is watched and the broker in memory."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from importlib.metadata import entry_points

import numpy as np
import pytest
import tifffile

from porelay_ingest import sandbox
from porelay_ingest.headers import check_links
from porelay_ingest.intake import serve, sidecar, taking
from porelay_ingest.intake.completeness import Patience
from porelay_ingest.intake.keeper import Keeper, bucket_of
from porelay_ingest.intake.ledger import Ledger
from porelay_ingest.intake.taking import Taker
from porelay_ingest.preflight import look
from porelay_kit import planning
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.runner import drops, state
from porelay_kit.runner.state import RunState
from porelay_kit.runner.worker import Worker
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, StoreUnavailable
from porelay_schemas.messages import IngestRequest
from porelay_schemas.route import STAGES

MEMORY = 2**31
KEY = "inbox/electrode/stack.tif"


def image(value=0, shape=(3, 24, 20)):
    return (np.arange(np.prod(shape)).reshape(shape) + value).astype(np.uint8)


class Inbox:
    """A keeper with a clock of our own, and what a user and a bucket do."""

    def __init__(self, store, patience=Patience(quiet_s=120.0)):  # noqa: B008
        self.store, self.now = store, 1_800_000_000.0
        self.broker = MemoryBroker((*STAGES, "intake"))
        self.ledger = Ledger(store)
        self.patience = patience
        self.keeper = self.new_keeper()

    def new_keeper(self):
        taker = Taker(self.broker, self.store, MEMORY)
        return Keeper(taker, self.patience, planning.shipped(), "porelay", lambda: self.now)

    def drop(self, key, content=None, *, told=False):
        """Put a stack, or bytes, into the inbox; say so as Ceph does where it is `told`."""
        path = self.store.home / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            tifffile.imwrite(path, image() if content is None else content)
        if told:
            self.tell(key)

    def tell(self, key, **more):
        size = (self.store.home / key).stat().st_size if (self.store.home / key).exists() else 0
        item = {"key": key, "size": size, "eTag": "e", "sequencer": ""} | more
        record = {
            "eventSource": "ceph:s3",
            "eventName": more.pop("event", "ObjectCreated:Put"),
            "s3": {"bucket": {"name": more.pop("bucket", "porelay")}, "object": item},
        }
        self.broker.publish("intake", json.dumps({"Records": [record]}).encode())

    def turn(self, times=1):
        for _ in range(times):
            self.keeper.turn(0.0)

    def sweep(self):
        self.keeper.sweep()

    def later(self, seconds):
        self.now += seconds
        self.turn()

    def asked(self):
        """Return the ingest requests published since the last time."""
        found = []
        while (delivery := self.broker.get(("ingest",), 0.0)) is not None:
            self.broker.ack(delivery)
            found.append(IngestRequest.model_validate_json(delivery.body))
        return found

    def record(self, key=KEY):
        return self.ledger.of(key)

    def rejection(self, key=KEY):
        path = self.store.home / f"{key}.rejected.txt"
        return path.read_text() if path.exists() else None


@pytest.fixture
def inbox(store, monkeypatch):
    """An inbox whose checks run in this process, which is quicker; `test_untrusted.py` has them in the sandbox."""

    def here(path, name, memory, limits):
        check_links(path)
        look(str(path), name, str(memory))

    monkeypatch.setattr(taking, "preflight", here)
    return Inbox(store)


def quiet(inbox):
    """Let the sweep of the beginning pass, so that only what is told is looked at."""
    inbox.turn()
    return inbox


def test_a_file_that_is_told_of_becomes_a_run(inbox):
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    digest = hashlib.sha256((inbox.store.home / KEY).read_bytes()).hexdigest()
    assert (request.stack.uri, request.stack.name, request.stack.sha256) == (KEY, "stack.tif", digest)
    run = RunState(inbox.store, request.run_id).run()
    assert run.plan_name == "electrode" and run.stack == request.stack
    assert (inbox.record().state, inbox.record().run_id) == ("started", request.run_id)
    assert inbox.broker.idle(), "the notification is acknowledged"


def test_the_run_is_the_one_that_the_client_can_compute_beforehand(inbox):
    quiet(inbox).drop(KEY)
    for number in range(3):
        inbox.drop(f"inbox/labels/s/{number}.tif", image(number, (24, 20)))
    inbox.drop("inbox/labels/s/.done", b"")
    inbox.sweep()
    wanted = {
        state.run_id_for(planning.load("electrode"), state.stack_ref(inbox.store.home / KEY)),
        state.run_id_for(planning.load("labels"), state.stack_ref(inbox.store.home / "inbox/labels/s")),
    }
    assert {request.run_id for request in inbox.asked()} == wanted


def test_a_drop_whose_event_was_lost_is_found_by_the_sweep(inbox):
    quiet(inbox).drop(KEY)
    inbox.turn()
    assert inbox.asked() == []
    inbox.later(301)
    assert len(inbox.asked()) == 1


def test_what_lies_there_at_the_beginning_is_found_at_once(inbox):
    inbox.drop(KEY)
    inbox.turn()
    assert len(inbox.asked()) == 1


def test_nothing_is_started_twice(inbox):
    quiet(inbox).drop(KEY, told=True)
    inbox.tell(KEY)
    inbox.tell(KEY, eTag="other")
    inbox.turn(3)
    inbox.sweep()
    inbox.keeper = inbox.new_keeper()
    inbox.tell(KEY)
    inbox.turn(2)
    assert len(inbox.asked()) == 1


def test_an_older_notification_that_comes_late_changes_nothing(inbox):
    quiet(inbox).drop(KEY)
    inbox.tell(KEY, sequencer="0B")
    inbox.tell(KEY, sequencer="0A", eTag="before")
    inbox.turn(2)
    assert len(inbox.asked()) == 1 and inbox.broker.idle()


def test_a_multipart_upload_is_one_drop(inbox):
    quiet(inbox).drop(KEY)
    inbox.tell(KEY, event="ObjectCreated:CompleteMultipartUpload")
    inbox.turn()
    assert len(inbox.asked()) == 1


def test_a_key_with_blanks_and_plus_signs_encoded_or_not(inbox):
    name = "inbox/electrode/a b+c.tif"
    quiet(inbox).drop(name)
    inbox.tell("inbox%2Felectrode%2Fa+b%2Bc.tif")
    inbox.turn()
    (request,) = inbox.asked()
    assert request.stack.uri == name and request.run_id.startswith("a-b-c-electrode-")


def test_other_buckets_other_places_and_vanished_objects_are_no_business_of_ours(inbox):
    quiet(inbox).drop(KEY)
    inbox.tell(KEY, bucket="other")
    inbox.tell("artifacts/ingest/x/manifest.json")
    inbox.tell("inbox/electrode/gone.tif")
    inbox.tell("inbox/../runs/x.json")
    inbox.turn(4)
    assert inbox.asked() == [] and inbox.broker.dead_letters("intake") == [] and inbox.broker.idle()


def test_a_placeholder_waits_for_its_content(inbox):
    quiet(inbox).drop(KEY, b"", told=True)
    inbox.turn()
    assert inbox.record().text == "waiting: stack.tif is empty so far" and inbox.rejection() is None
    inbox.drop(KEY)
    inbox.tell(KEY, eTag="whole")
    inbox.later(2)
    assert len(inbox.asked()) == 1


def test_an_empty_file_that_stays_empty_is_refused(inbox):
    quiet(inbox).drop(KEY, b"", told=True)
    inbox.turn()
    inbox.later(121)
    assert "the file is empty (0 bytes). Copy it again." in inbox.rejection()
    assert inbox.record().state == "rejected" and inbox.asked() == []


def put_slices(inbox, numbers, folder="inbox/electrode/s", told=True):
    for number in numbers:
        inbox.drop(f"{folder}/slice_{number:04d}.tif", image(number, (24, 20)), told=told)


def marker_of(inbox, folder="inbox/electrode/s"):
    files = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in (inbox.store.home / folder).glob("*.tif")
    }
    return drops.marker(files)


def test_a_folder_starts_with_its_marker(inbox):
    put_slices(quiet(inbox), range(1, 5))
    inbox.turn(5)
    assert inbox.asked() == [] and "4 slices so far" in inbox.record("inbox/electrode/s").text
    inbox.drop("inbox/electrode/s/_complete.json", marker_of(inbox), told=True)
    inbox.turn()
    inbox.later(2)
    (request,) = inbox.asked()
    assert request.stack.uri == "inbox/electrode/s"
    assert request.stack.sha256 == state.stack_ref(inbox.store.home / "inbox/electrode/s").sha256


def test_a_marker_that_came_before_the_last_slice_waits_for_it(inbox):
    put_slices(quiet(inbox), range(1, 5), told=False)
    marker = marker_of(inbox)
    (inbox.store.home / "inbox/electrode/s/slice_0003.tif").unlink()
    inbox.drop("inbox/electrode/s/_complete.json", marker, told=True)
    inbox.turn()
    assert inbox.record("inbox/electrode/s").text == "waiting: 1 slice missing (slice_0003.tif)"
    put_slices(inbox, [3])
    inbox.turn()
    inbox.later(2)
    assert len(inbox.asked()) == 1


def test_a_slice_that_was_damaged_in_transfer_is_refused(inbox):
    put_slices(quiet(inbox), range(1, 3), told=False)
    marker = marker_of(inbox)
    path = inbox.store.home / "inbox/electrode/s/slice_0002.tif"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    inbox.drop("inbox/electrode/s/_complete.json", marker, told=True)
    inbox.turn()
    assert "slice_0002.tif: damaged in transfer" in inbox.rejection("inbox/electrode/s")
    assert inbox.asked() == []


def test_a_folder_starts_with_the_number_of_its_slices(inbox):
    quiet(inbox).drop("inbox/electrode/s.plan.yaml", b"count: 3\n")
    put_slices(inbox, range(1, 3))
    inbox.turn(2)
    inbox.later(2)
    assert inbox.record("inbox/electrode/s").text == "waiting: 2 of 3 slices are there"
    put_slices(inbox, [3])
    inbox.turn()
    inbox.later(2)
    assert len(inbox.asked()) == 1


def test_a_folder_without_marker_starts_after_a_quiet_time(inbox):
    put_slices(quiet(inbox), range(1, 4), told=False)
    inbox.tell("inbox/electrode/s/slice_0001.tif")
    inbox.turn()
    inbox.later(100)
    put_slices(inbox, [4])
    inbox.turn()
    inbox.later(100)
    assert inbox.asked() == [], "the quiet time begins anew with every slice"
    inbox.later(21)
    assert len(inbox.asked()) == 1


def test_a_gap_is_named_for_as_long_as_it_lasts(inbox):
    put_slices(quiet(inbox), [number for number in range(405, 420) if number not in (412, 413)], told=False)
    inbox.sweep()
    inbox.later(1000)
    record = inbox.record("inbox/electrode/s")
    assert (record.state, record.text) == ("waiting", "waiting: 2 slices missing (0412, 0413)")
    put_slices(inbox, (412, 413), told=False)
    inbox.later(301)
    inbox.later(121)
    assert len(inbox.asked()) == 1


def test_many_slices_make_few_listings(inbox, monkeypatch):
    quiet(inbox)
    looks = []
    listing = inbox.store.beginning
    monkeypatch.setattr(inbox.store, "beginning", lambda start: looks.append(start) or listing(start))
    put_slices(inbox, range(1, 31))
    inbox.turn(30)
    assert len(looks) == 1 and inbox.broker.idle()
    inbox.later(2)
    assert len(looks) == 2 and "30 slices so far" in inbox.record("inbox/electrode/s").text


TINY = """
name: mine
seed: 3
phases:
  - {name: pore, colour: "#2b3a4a"}
  - {name: solid, colour: "#9fb4c7"}
stages: {ingest: [slices], segment: [otsu]}
"""


def test_a_plan_beside_the_drop_is_its_plan(inbox):
    quiet(inbox).drop("inbox/anything/a.tif.plan.yaml", TINY.encode())
    inbox.drop("inbox/anything/a.tif", told=True)
    inbox.turn()
    (request,) = inbox.asked()
    run = RunState(inbox.store, request.run_id)
    assert run.run().plan_name == "mine" and list(run.plan().stages) == ["ingest", "segment"]


@pytest.mark.parametrize("name", planning.shipped())
def test_a_plan_beside_the_drop_is_the_same_plan_as_from_a_file(name):
    text = planning.text(name)
    found = sidecar.read(f"count: 3\n{text}".encode(), "s.plan.yaml")
    assert found.count == 3
    assert planning.parse(found.text, "s").digest() == planning.load(name).digest()


def test_a_shipped_plan_can_be_named_beside_the_drop(inbox):
    quiet(inbox).drop("inbox/stack.tif.plan.yaml", b"plan: measure\n")
    inbox.drop("inbox/stack.tif", told=True)
    inbox.turn()
    assert "-measure-" in inbox.asked()[0].run_id


def test_what_differs_from_the_folders_plan_can_stand_beside_the_drop(inbox):
    quiet(inbox).drop(f"{KEY}.plan.yaml", b"voxel_um: [0.1, 0.05, 0.05]\nseed: 9\n")
    inbox.drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    plan = RunState(inbox.store, request.run_id).plan()
    assert (plan.name, plan.seed, request.voxel_um) == ("electrode", 9, (0.1, 0.05, 0.05))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (TINY.replace("otsu", "otus"), "no method is called 'otus'. Did you mean 'otsu'?"),
        (TINY.replace("seed: 3", "seeed: 3"), "seeed: not known here. Did you mean 'seed'?"),
        ("- 3", "wanted a plan: a mapping"),
        ("a: [1", "not YAML"),
        ("\xff\xfe", "not a text"),
        ("a: &a [x, x]\nb: [*a, *a]", "YAML aliases (*name) may not be there"),
        ("[" * 60_000, "could not be read within 1 s"),
        ("#" * 70_000, "wanted a plan of at most 65,536"),
        ("plan: nothing", "no shipped plan is called 'nothing'"),
        ("count: many", "count is 'many', wanted the number of slices"),
        ("plan: measure\nphases: []", "only voxel_um and seed may differ from it; it has phases, too"),
        ("plan: [1]", "plan is [1], wanted the name of a shipped plan"),
        ("voxel_um: -3", "voxel_um"),
    ],
    ids=range(13),
)
def test_a_plan_that_cannot_be_used_is_refused_with_the_drop(inbox, plan, said, monkeypatch):
    monkeypatch.setattr(sidecar, "LIMITS", sandbox.Limits(2**28, seconds=1.0))
    quiet(inbox).drop(f"{KEY}.plan.yaml", plan.encode("latin-1"))
    inbox.drop(KEY, told=True)
    inbox.turn()
    assert said in inbox.rejection() and inbox.asked() == []


def test_an_unknown_plan_is_rejected_with_the_nearest_name(inbox):
    key = "inbox/electrod/stack.tif"
    quiet(inbox).drop(key, told=True)
    inbox.turn()
    text = inbox.rejection(key)
    assert text.startswith(f"Porelay did not take {key}\n")
    assert "no shipped plan is called 'electrod'. Did you mean 'electrode'?" in text
    assert "put its plan beside it as stack.tif.plan.yaml" in text
    assert "UTC. Nothing was moved or deleted. Put a corrected stack.tif in its place" in text
    assert (inbox.store.home / key).exists() and inbox.record(key).state == "rejected"


def test_a_folders_name_is_never_taken_for_a_file_of_this_machine(inbox, monkeypatch, tmp_path):
    (tmp_path / "mine").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    quiet(inbox).drop("inbox/mine/stack.tif", told=True)
    inbox.turn()
    assert "no shipped plan is called 'mine'" in inbox.rejection("inbox/mine/stack.tif")


def test_a_stack_that_cannot_be_read_is_rejected_and_a_good_one_takes_the_rejection_back(inbox):
    quiet(inbox).drop(KEY, b"II*\0" + bytes(20), told=True)
    inbox.turn()
    assert "stack.tif: the TIFF holds zero slices" in inbox.rejection() and inbox.asked() == []
    inbox.drop(KEY)
    inbox.tell(KEY, eTag="better")
    inbox.turn()
    assert inbox.rejection() is None and len(inbox.asked()) == 1
    assert inbox.record().state == "started"


def test_a_bad_drop_does_not_keep_the_others(inbox):
    inbox.drop("inbox/electrode/a.tif", b"not an image")
    inbox.drop("inbox/electrode/b.tif")
    (inbox.store.home / "inbox/electrode/c.tif").symlink_to("/etc/passwd")
    inbox.drop("inbox/electrode/d.tif")
    inbox.turn()
    assert [request.stack.name for request in inbox.asked()] == ["b.tif", "d.tif"]
    assert "is a link, which may point anywhere" in inbox.rejection("inbox/electrode/c.tif")


def test_changed_content_becomes_a_run_of_its_own(inbox):
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    inbox.drop(KEY, image(7))
    inbox.tell(KEY, eTag="changed")
    inbox.turn()
    first, second = inbox.asked()
    assert first.run_id != second.run_id and first.stack.sha256 != second.stack.sha256
    assert inbox.record().run_id == second.run_id


def test_the_run_of_content_that_is_not_there_any_more_is_told_so(inbox, make_bench):
    from porelay_ingest.stage import run

    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    inbox.drop(KEY, image(7))
    with pytest.raises(BadInput, match=r"stack.tif: changed since it was dropped: its content has the digest"):
        run(request, make_bench("ingest"))
    (inbox.store.home / KEY).unlink()
    with pytest.raises(BadInput, match=r"inbox/electrode/stack.tif is not in .* any more\. Put it back, or drop it"):
        run(request, make_bench("ingest"))


def test_a_late_slice_makes_a_new_run(inbox):
    put_slices(quiet(inbox), range(1, 4), told=False)
    inbox.sweep()
    inbox.later(121)
    put_slices(inbox, [4])
    inbox.turn()
    inbox.later(121)
    first, second = inbox.asked()
    assert first.run_id != second.run_id


def test_known_labels_beside_a_drop_go_with_it(inbox):
    labels = (image() > 100).astype(np.uint8)
    quiet(inbox).drop(f"{KEY}.truth.tif", labels)
    inbox.drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    assert request.truth is not None and request.truth.uri == f"{KEY}.truth.tif"


def test_separate_images_beside_a_drop_go_with_it(inbox):
    for axis in "yx":
        quiet(inbox).drop(f"{KEY}.plane-{axis}.tif")
    anisotropic = planning.load("electrode", ("slicegan-trainer.mode=anisotropic",))
    inbox.drop(f"{KEY}.plan.yaml", planning.dump(anisotropic).encode())
    inbox.drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    assert {axis: ref.uri for axis, ref in request.planes.items()} == {axis: f"{KEY}.plane-{axis}.tif" for axis in "yx"}


def test_separate_images_that_the_plan_cannot_learn_from_reject_the_drop(inbox):
    for axis in "yx":
        quiet(inbox).drop(f"{KEY}.plane-{axis}.tif")
    inbox.drop(KEY, told=True)
    inbox.turn()
    assert not inbox.asked()
    assert "wanted 'anisotropic'" in inbox.rejection(KEY)


def test_checksums_beside_a_drop_are_held_against_it(inbox):
    quiet(inbox).drop(KEY)
    digest = hashlib.sha256((inbox.store.home / KEY).read_bytes()).hexdigest()
    inbox.drop(f"{KEY}.sha256", f"{'0' * 64}  stack.tif\n".encode())
    inbox.tell(KEY)
    inbox.turn()
    assert "stack.tif: damaged in transfer" in inbox.rejection()
    inbox.drop(f"{KEY}.sha256", f"{digest}  stack.tif\n".encode(), told=True)
    inbox.turn()
    assert len(inbox.asked()) == 1 and inbox.rejection() is None


def test_a_drop_is_looked_at_again_where_somebody_asks(inbox):
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    run = RunState(inbox.store, request.run_id)
    run.cancel()
    inbox.drop(f"{KEY}.again", b"")
    inbox.tell(f"{KEY}.again")
    inbox.turn()
    assert [again.run_id for again in inbox.asked()] == [request.run_id] and not run.cancelled()
    assert not (inbox.store.home / f"{KEY}.again").exists()


def test_what_the_ingest_stage_refuses_later_is_written_beside_the_drop(inbox):
    """No voxel size stands in the file: only the stage finds out."""
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    worker = Worker(("ingest",), inbox.broker, inbox.store, Settings(home=inbox.store.home, max_memory_bytes=MEMORY))
    worker.handle(inbox.broker.get(("ingest",), 0.0))
    assert inbox.rejection() is None
    inbox.turn()
    assert "--voxel-um" in inbox.rejection() and inbox.record().state == "rejected"


def test_a_failure_of_which_no_event_came_is_found_by_the_sweep_and_forgotten_when_it_is_past(inbox):
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    run = RunState(inbox.store, inbox.asked()[0].run_id)
    run.failed("ingest", BadInput("stack.tif: the stage says no. Change it."))
    inbox.later(301)
    assert "the stage says no" in inbox.rejection()
    run.forget_failure("ingest")
    inbox.store.write(f"{run.prefix}/results/ingest.json", b"{}")
    inbox.later(301)
    assert inbox.rejection() is None and inbox.record().state == "ingested"


def test_the_record_of_a_drop_that_was_taken_away_goes(inbox):
    put_slices(inbox, [1, 3, 4, 5], told=False)
    inbox.drop("inbox/electrode/bad.tif", b"x")
    inbox.turn()
    assert len(list(inbox.ledger.all())) == 2
    for path in (inbox.store.home / "inbox/electrode").rglob("*.tif"):
        path.unlink()
    inbox.later(301)
    assert list(inbox.ledger.all()) == [] and inbox.rejection("inbox/electrode/bad.tif") is None


def test_malformed_notifications_are_parked_and_the_next_one_is_heard(inbox):
    quiet(inbox).broker.publish("intake", b"not json")
    inbox.drop(KEY, told=True)
    inbox.turn(2)
    (letter,) = inbox.broker.dead_letters("intake")
    assert letter.error == "BadMessage" and "Bind nothing but buckets" in letter.text
    assert len(inbox.asked()) == 1


def silent(*words):
    raise StoreUnavailable("store: silent.")


def test_a_drop_that_cannot_be_fetched_now_is_fetched_later(inbox, monkeypatch):
    quiet(inbox).drop(KEY, told=True)
    with monkeypatch.context() as patch:
        patch.setattr(inbox.store, "local", silent)
        inbox.turn()
    assert inbox.record().text == "waiting: it is tried again (store: silent.)"
    assert inbox.rejection() is None and inbox.broker.idle(), "its state is stored: the notification is not needed"
    inbox.later(6)
    assert len(inbox.asked()) == 1


def test_a_store_that_does_not_answer_at_all_puts_the_notification_off(inbox, monkeypatch):
    inbox.broker = MemoryBroker((*STAGES, "intake"), retry_ladder_s=(0.01,))
    inbox.keeper = inbox.new_keeper()
    quiet(inbox).drop(KEY, told=True)
    with monkeypatch.context() as patch:
        patch.setattr(inbox.store, "beginning", silent)
        inbox.turn()
    assert not inbox.broker.idle() and inbox.record() is None
    time.sleep(0.02)
    inbox.turn()
    assert len(inbox.asked()) == 1 and inbox.broker.idle()


def test_a_sweep_that_fails_is_done_again_soon(inbox, monkeypatch):
    inbox.drop(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(inbox.store, "objects", silent)
        with pytest.raises(StoreUnavailable):
            inbox.turn()
    inbox.turn()
    assert inbox.asked() == []
    inbox.later(6)
    assert len(inbox.asked()) == 1


def test_the_notification_is_acknowledged_before_the_checks_begin(inbox, monkeypatch):
    """They may take longer than a broker waits for an acknowledgement; the stored state and the sweep stand for it."""
    seen = []
    take = Taker.take
    monkeypatch.setattr(Taker, "take", lambda self, drop: seen.append(inbox.broker.idle()) or take(self, drop))
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    assert seen == [True]


def test_a_keeper_that_died_in_the_checks_is_followed_by_one_that_does_them(inbox, monkeypatch):
    quiet(inbox).drop(KEY, told=True)
    with monkeypatch.context() as patch:
        patch.setattr(Taker, "take", lambda self, drop: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            inbox.turn()
    assert inbox.record().text == "waiting: it is being checked"
    inbox.keeper = inbox.new_keeper()
    inbox.turn()
    assert len(inbox.asked()) == 1


def test_a_plan_beside_a_drop_that_is_a_link_is_not_read(inbox, tmp_path):
    (tmp_path / "secret").write_text("hush: [1")
    quiet(inbox).drop(KEY)
    (inbox.store.home / f"{KEY}.plan.yaml").symlink_to(tmp_path / "secret")
    inbox.sweep()
    assert "stack.tif.plan.yaml is a link" in inbox.rejection() and "hush" not in inbox.rejection()


def test_a_link_is_refused_before_its_target_is_read(inbox, tmp_path):
    (tmp_path / "secret").write_text("hush")
    inbox.drop(f"{KEY}.sha256", f"{'0' * 64}  stack.tif\n".encode())
    (inbox.store.home / KEY).symlink_to(tmp_path / "secret")
    inbox.sweep()
    assert "stack.tif is a link" in inbox.rejection() and "SHA-256" not in inbox.rejection()


def test_the_same_content_put_there_again_is_the_same_run_and_not_asked_for_again(inbox):
    quiet(inbox).drop(KEY, told=True)
    inbox.turn()
    (request,) = inbox.asked()
    inbox.store.write(f"runs/{request.run_id}/results/ingest.json", b"{}")
    inbox.drop(KEY)
    inbox.tell(KEY, eTag="again")
    inbox.turn()
    assert inbox.asked() == [] and inbox.record().run_id == request.run_id


def test_sweeps_do_not_read_the_records_of_what_is_done(inbox, monkeypatch):
    quiet(inbox).drop(KEY, b"no image")
    inbox.sweep()
    inbox.sweep()
    reads = []
    monkeypatch.setattr(inbox.store, "read", lambda key: reads.append(key))
    inbox.sweep()
    assert reads == [] and inbox.rejection()


def test_users_names_never_become_keys_outside_the_inbox(inbox):
    name = "inbox/electrode/a..%2f$(rm -rf)'\"; é.tif"
    quiet(inbox).drop(name, told=True)
    inbox.turn()
    assert len(inbox.asked()) == 1
    keys = [path.relative_to(inbox.store.home).as_posix() for path in inbox.store.home.rglob("*") if path.is_file()]
    assert all(
        set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-./") for key in keys if not key.startswith("inbox/")
    )


def test_serve_watches_a_folder_until_it_is_told_to_end(store):
    inbox = Inbox(store)
    done = threading.Event()
    settings = Settings(home=store.home, max_memory_bytes=MEMORY, quiet_s=0.2, sweep_s=1)
    served = threading.Thread(target=serve, args=(inbox.broker, store, settings, done.is_set))
    served.start()
    try:
        inbox.broker.publish("intake", b"{")
        inbox.drop(KEY)
        inbox.tell(KEY)
        delivery = inbox.broker.get(("ingest",), 20.0)
        assert delivery is not None
    finally:
        done.set()
        served.join(10)
    assert not served.is_alive()
    assert inbox.broker.dead_letters("intake")


def test_the_watch_outlives_a_broker_and_a_store_that_fail(inbox, monkeypatch):
    calls = []

    def broken(*words):
        calls.append(words)
        inbox.now += 10
        raise RuntimeError("a defect")

    monkeypatch.setattr(inbox.store, "objects", broken)
    monkeypatch.setattr("porelay_ingest.intake.keeper.POLL_S", 0.0)
    inbox.keeper.watch(lambda: len(calls) > 2)
    assert len(calls) == 3


def test_the_intake_itself_loads_no_library_that_decodes_images():
    """Those are loaded in the sandbox and in the stage's own process; an idle worker stays small."""
    script = "import sys, porelay_ingest.intake.keeper; print(*{'tifffile', 'PIL', 'cv2', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_intake_is_the_companion_of_the_ingest_worker():
    (entry,) = [entry for entry in entry_points(group="porelay.companion") if entry.name == "ingest"]
    assert entry.load() is serve


def test_the_bucket_is_the_last_part_of_the_address():
    assert bucket_of("https://s3.facility.org:9000/porelay/") == "porelay" and bucket_of(None) is None
