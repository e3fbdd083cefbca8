import json
from datetime import UTC, datetime, timedelta

import pytest
from made import ALL, finish

from porelay_kit.runner.history import Roll, Spot, history, marks
from porelay_schemas.errors import BadInput, BrokerUnavailable, StoreUnavailable
from porelay_schemas.intake import Intake, intake_key


def states(state, *held):
    return {stage.stage: stage.state for stage in history(state, held).stages}


def put_manifest(state, stage, started, forked):
    """Write the manifest of a stage, as far as it is read here."""
    request = {
        "schema_version": 1,
        "stage": "ingest",
        "run_id": state.run_id,
        "plan": "p",
        "phases": [phase.model_dump(mode="json") for phase in forked.phases],
        "stack": state.run().stack.model_dump(mode="json"),
    }
    result = state.result(stage)
    document = {
        "stage": stage,
        "key": result.artifact.key,
        "request": request,
        "result": result.model_dump(mode="json"),
        "use": [],
        "started": started.isoformat(),
        "seconds": 12.5,
        "peak_memory_bytes": 1,
        "host": {"name": "node7"},
        "versions": {},
        "files": [],
    }
    state.store.write(f"{result.artifact.prefix}/manifest.json", json.dumps(document).encode())


def test_each_stage_is_done_running_waiting_or_failed(make_run):
    state = make_run(1, ALL[:3])
    state.failed("metrics", BadInput("no voxels"))
    assert states(state, Spot(state.run_id, "mesher"))["mesher"] == "running"
    assert states(state) == {
        "ingest": "done",
        "preprocess": "done",
        "segment": "done",
        "metrics": "failed",
        "mesher": "waiting",
    }


def test_what_waits_says_for_what(make_run):
    stages = {stage.stage: stage.text for stage in history(make_run(1, ALL[:1])).stages}
    assert stages["preprocess"] == "for a worker" and stages["segment"] == "for preprocess"


def test_a_failure_says_whether_it_comes_again(make_run):
    state = make_run(1)
    state.put_off("ingest", StoreUnavailable("no answer"))
    (ingest, *_) = history(state).stages
    assert (ingest.state, ingest.again, ingest.text) == ("waiting", True, "StoreUnavailable: no answer")
    state.failed("ingest", BadInput("not a stack"))
    (ingest, *_) = history(state).stages
    assert (ingest.state, ingest.again, ingest.text) == ("failed", False, "BadInput: not a stack")


def test_times_and_host_come_from_the_manifest(make_run, forked):
    state = make_run(1, ALL[:1])
    put_manifest(state, "ingest", datetime.now(UTC) + timedelta(seconds=1), forked)
    (ingest, *_) = history(state).stages
    assert (ingest.seconds, ingest.host, ingest.text) == (12.5, "node7", "")
    put_manifest(state, "ingest", datetime.now(UTC) - timedelta(days=1), forked)
    assert history(state).stages[0].text == "found done"


def test_a_result_whose_artifact_is_gone_is_said_to_be(make_run):
    assert history(make_run(1, ALL[:1])).stages[0].text == "its artifact is damaged or gone"


@pytest.mark.parametrize(
    ("done", "wanted"),
    [((), "waiting"), (ALL[:2], "waiting"), (ALL, "done")],
)
def test_the_state_of_a_whole_run(make_run, done, wanted):
    assert history(make_run(1, done)).state == wanted


def test_a_run_has_failed_only_when_nothing_is_left_to_do(make_run):
    state = make_run(1, ALL[:3])
    state.failed("metrics", BadInput("no"))
    assert history(state).state == "waiting"
    finish(state, "mesher")
    assert history(state).state == "failed"


def test_all_runs_are_told_from_one_listing(store, make_run):
    state = make_run(1, ALL[:2])
    make_run(2).cancel()
    store.write("runs/left-over/report.html", b"")
    found = marks(store)
    assert list(found) == [state.run_id, "s2-forked-" + list(found)[1][-8:]]
    assert found[state.run_id].notes.done == set(ALL[:2]) and not found[state.run_id].reported
    assert list(found.values())[1].notes.cancelled


def test_workers_answer_what_they_hold_and_nonsense_is_passed_over(broker, monkeypatch):
    monkeypatch.setattr("porelay_kit.runner.history.ANSWER_S", 0.0)
    good = json.dumps({"holding": [{"run_id": "r", "stage": "segment"}]}).encode()
    for name, body in (("a-1", good), ("b-2", b'{"holding": []}'), ("c-3", b"nonsense"), ("d-4", b'{"holding": [1]}')):
        broker.subscribe("control.all", lambda key, asked, n=name, b=body: broker.emit(f"worker.{n}.holding", b))
    roll = Roll(broker)
    roll.call()
    assert roll.held == {("r", "segment")} and roll.workers == {"a-1", "b-2"}


def test_status_shows_who_runs_what(command, broker, make_run):
    state = make_run(1, ALL[:1])
    body = json.dumps({"holding": [{"run_id": state.run_id, "stage": "preprocess"}]}).encode()
    broker.subscribe("control.all", lambda key, asked: broker.emit("worker.here-1.holding", body))
    one = command.json("status", state.run_id)
    assert one["state"] == "running" and one["stages"]["preprocess"]["state"] == "running"
    everything = command.json("status")["runs"][state.run_id]
    assert everything["running"] == ["preprocess"] and everything["done"] == ["ingest"]
    assert f"{state.run_id:<44} running" in command("status").stdout


def test_status_works_with_the_broker_dead(command, make_run, monkeypatch):
    def dead(settings):
        raise BrokerUnavailable("broker amqp://memory: no answer. Is it running?")

    monkeypatch.setattr("porelay_kit.cli.servers.open_broker", dead)
    state = make_run(1, ALL[:1])
    done = command("status", state.run_id)
    assert done.exit_code == 0 and "Is it running?\nGoing by the store alone." in done.stderr
    assert "ingest            done" in done.stdout


def test_status_names_failure_and_remedy(command, make_run):
    state = make_run(1)
    state.failed("ingest", BadInput("stack 's1.tif': not a stack"))
    said = command("status", state.run_id).stdout
    assert "failed" in said and "BadInput: stack 's1.tif': not a stack" in said and "`porelay dlq replay`" in said


def test_status_says_why_a_stage_waits_how_often_it_was_tried_and_when_it_is_again(command, make_run):
    state = make_run(1)
    state.put_off("ingest", StoreUnavailable("store: no answer"), attempt=2, within_s=3600)
    at = state.waiting()["ingest"].next_try
    assert at > datetime.now(UTC) + timedelta(seconds=3500)
    said = command("status", state.run_id).stdout
    assert f"StoreUnavailable: store: no answer  (attempt 2, comes again at {at.astimezone():%H:%M:%S})" in said
    told = command.json("status", state.run_id)["stages"]["ingest"]
    assert (told["state"], told["text"]) == ("waiting", "StoreUnavailable: store: no answer")
    assert (told["comes_again"], told["attempt"], told["next_try"]) == (True, 2, at.isoformat())
    assert command.json("status")["runs"][state.run_id]["put_off"] == ["ingest"]
    assert "put off: ingest" in command("status").stdout
    state.put_off("ingest", StoreUnavailable("store: no answer"), attempt=2, within_s=-1)
    assert "(attempt 2, comes again, waits for a worker)" in command("status", state.run_id).stdout


def test_status_shows_drops_of_which_no_run_came(command, store):
    now = datetime.now(UTC)
    for name, state in (("a.tif", "rejected"), ("b", "waiting"), ("c.tif", "ingested")):
        drop = f"inbox/forked/{name}"
        record = Intake(
            drop=drop,
            state=state,
            text=f"{state}: why",
            plan="forked",
            version="v",
            objects=1,
            size_bytes=1,
            since=now,
            at=now,
        )
        store.write(intake_key(drop), record.model_dump_json().encode())
    assert [one["drop"] for one in command.json("status")["drops"]] == ["inbox/forked/a.tif", "inbox/forked/b"]
    assert "rejected: why" in command("status").stdout


def test_the_home_that_is_named_wins_over_the_bucket_of_the_environment(lonely, make_run, store, monkeypatch):
    state = make_run(1)
    monkeypatch.setenv("PORELAY_S3_URL", "http://127.0.0.1:1/bucket")
    assert state.run_id in lonely("status", "--home", store.home).stdout


def test_a_report_is_copied_where_one_wants_it(command, make_run, tmp_path):
    state = make_run(1)
    out = tmp_path / "new" / "r.html"
    answer = command.json("report", state.run_id, "--out", out)
    assert answer["file"] == str(out) and out.read_bytes() == state.store.read(f"{state.prefix}/report.html")
    assert command("report", state.run_id).stdout.strip() == str(state.store.local(f"{state.prefix}/report.html"))


def test_cancel_leaves_a_marker_and_tells_the_workers(command, broker, make_run):
    heard = []
    broker.subscribe("control.run.", lambda key, body: heard.append((key, json.loads(body))))
    state = make_run(1)
    assert command.json("cancel", state.run_id) == {"run_id": state.run_id, "cancelled": True}
    command("cancel", state.run_id, "--only-training")
    assert state.cancelled() and state.finish_training()
    key = f"control.run.{state.run_id}"
    assert heard == [(key, {"ask": "cancel"}), (key, {"ask": "finish-training"})]
