"""The worker on the broker in memory: what becomes of every kind of message, and what its run says of it."""

import json
import threading
import time
from datetime import timedelta

import pytest
from made import requests_in, result_of

from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.runner import worker
from porelay_kit.runner.asking import begin, follow
from porelay_kit.runner.signals import Throttled
from porelay_kit.runner.state import RunState
from porelay_kit.runner.worker import Observer, Worker
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, Denied, SliceOver, StoreUnavailable
from porelay_schemas.route import STAGES


class Outcomes(Observer):
    def __init__(self):
        self.all = []

    def ended(self, delivery, outcome, seconds, detail):
        self.all.append((delivery.stage, outcome))


@pytest.fixture
def stages(monkeypatch):
    """What each stage does; by default it gives its result at once. Change it in the test."""
    behaviour = {}

    def function(stage):
        def run(request, bench):
            if stage in behaviour:
                behaviour[stage](request, bench)
            return result_of(request.run_id, stage).model_copy(update={"artifact": bench.artifact})

        return run

    monkeypatch.setattr("porelay_kit.runner.step.stage_function", function)
    return behaviour


@pytest.fixture
def make_worker(store, broker):
    def make(**changes):
        made = Outcomes()
        settings = Settings(home=store.home, stage_limit_s=changes.pop("stage_limit_s", 60.0))
        one = Worker(tuple(STAGES), broker, changes.pop("store", store), settings, observer=made)
        one.outcomes = made.all
        return one

    return make


def work_off(one, broker):
    """Let a worker do all that waits."""
    while (delivery := broker.get(tuple(STAGES), 0)) is not None:
        one.handle(delivery)
    return one.outcomes


def failing(error):
    def fail(request, bench):
        raise error

    return fail


def test_a_run_goes_from_stage_to_stage_and_ends_with_a_report(make_run, make_worker, broker, stages, store):
    state = make_run()
    begin(state, broker)
    outcomes = work_off(make_worker(), broker)
    assert sorted(outcomes) == sorted((stage, "ok") for stage in state.plan().stages)
    assert state.ended() and set(state.results()) == set(state.plan().stages)
    assert "<html" in store.read(f"{state.prefix}/report.html").decode()
    assert broker.idle()


def test_a_message_that_comes_again_is_not_computed_again(make_run, make_worker, broker, stages):
    state = make_run()
    begin(state, broker)
    body = broker.waiting("ingest")[0]
    one = make_worker()
    work_off(one, broker)
    broker.publish("ingest", body)
    assert work_off(one, broker)[-1] == ("ingest", "skipped")
    assert len(one.outcomes) == len(state.plan().stages) + 1


def test_what_is_no_request_is_parked_with_its_reason_and_the_queue_goes_on(
    make_run, make_worker, broker, stages, monkeypatch
):
    state = make_run()
    begin(state, broker)
    good = json.loads(broker.waiting("ingest")[0])
    monkeypatch.setattr("porelay_kit.broker.memory.MAX_BODY_BYTES", 2**20)
    poison = [
        (b"{not json", "no request of this version"),
        (json.dumps(good | {"schema_version": 99}).encode(), "schema_version"),
        (json.dumps(good | {"use": [{"method": "nothing_like_it"}]}).encode(), "nothing_like_it"),
        (json.dumps(good | {"run_id": "nobody-knows-it"}).encode(), "run 'nobody-knows-it': not in"),
        (b"x" * 65537, "has 65537 bytes, wanted at most 65536"),
    ]
    broker.get(("ingest",), 0)
    for body, _ in poison:
        broker.publish("ingest", body)
    broker.publish("preprocess", json.dumps(good).encode())
    broker.publish("ingest", json.dumps(good).encode())
    work_off(make_worker(), broker)
    letters = broker.dead_letters("ingest")
    assert len(letters) == len(poison)
    for letter, (body, reason) in zip(letters, poison, strict=True):
        assert letter.body == body and reason in letter.text
    assert "wrong queue" in broker.dead_letters("preprocess")[0].text
    assert "ingest" in state.results()
    assert not list(state.store.list("runs/nobody-knows-it"))


def test_a_permanent_failure_is_parked_and_stands_in_its_run(make_run, make_worker, broker, stages):
    state = make_run()
    stages["preprocess"] = failing(BadInput("preprocess: too dark. Take a brighter one."))
    begin(state, broker)
    assert work_off(make_worker(), broker)[-1] == ("preprocess", "dead")
    failure = state.failures()["preprocess"]
    assert failure.permanent and failure.text == "preprocess: too dark. Take a brighter one."
    (letter,) = broker.dead_letters("preprocess")
    assert (letter.error, letter.text) == ("BadInput", failure.text)
    assert "too dark" in state.store.read(f"{state.prefix}/report.html").decode()


def test_what_fails_for_now_is_put_off_and_its_run_says_that_it_waits(make_run, store, stages):
    broker = MemoryBroker(STAGES, retry_ladder_s=(0.0, -1.0))
    one = Worker(tuple(STAGES), broker, store, Settings(home=store.home))
    state, failures = make_run(), [StoreUnavailable("store: no answer."), StoreUnavailable("store: no answer.")]
    waited = []

    def sometimes(request, bench):
        waited.append(dict(state.waiting()))
        if failures:
            raise failures.pop()

    stages["segment"] = sometimes
    begin(state, broker)
    while (delivery := broker.get(tuple(STAGES), 0)) is not None:
        one.handle(delivery)
    assert [list(waiting) for waiting in waited] == [[], ["segment"], ["segment"]]
    assert waited[1]["segment"].error == "StoreUnavailable" and not waited[1]["segment"].permanent
    first, second = (waiting["segment"] for waiting in waited[1:])
    assert (first.attempt, first.next_try - first.at) == (1, timedelta(0))
    assert (second.attempt, second.next_try - second.at) == (2, timedelta(seconds=-1))
    assert not state.waiting() and not state.failures() and state.ended()


def test_a_message_is_not_to_blame_for_what_a_server_denies_the_worker(make_run, make_worker, broker, stages):
    state = make_run()
    stages["ingest"] = failing(Denied("store: InvalidAccessKeyId."))
    begin(state, broker)
    assert work_off(make_worker(), broker) == [("ingest", "retried")]
    (waiting,) = state.waiting().values()
    assert waiting.text == "store: InvalidAccessKeyId." and not waiting.permanent and not state.failures()


def test_a_defect_is_retried_within_the_limit_and_then_parked_with_its_traceback(make_run, store, stages):
    broker = MemoryBroker(STAGES, retry_ladder_s=(0.0, 0.0))
    one = Worker(tuple(STAGES), broker, store, Settings(home=store.home))
    state, tries = make_run(), []

    def broken(request, bench):
        tries.append(1)
        raise ZeroDivisionError("by nothing")

    stages["ingest"] = broken
    begin(state, broker)
    while (delivery := broker.get(tuple(STAGES), 0)) is not None:
        one.handle(delivery)
    assert len(tries) == 3
    assert broker.dead_letters("ingest")[0].error == "ZeroDivisionError"
    failure = state.failures()["ingest"]
    assert "in broken" in failure.traceback and not failure.permanent
    assert not state.waiting() and state.ended()


@pytest.mark.parametrize("first", ["metrics", "mesher"])
def test_the_report_is_written_when_one_branch_failed_and_the_other_has_ended(
    first, make_run, make_worker, broker, stages, store
):
    state = make_run(done=("ingest", "preprocess"))
    stages["metrics"] = failing(BadInput("metrics: nothing to measure. Look at the labels."))
    broker.publish("segment", make_request(state, "segment"))
    one = make_worker()
    one.handle(broker.get(("segment",), 0))
    second = "mesher" if first == "metrics" else "metrics"
    one.handle(broker.get((first,), 0))
    assert not state.ended() and not store.exists(f"{state.prefix}/report.html")
    one.handle(broker.get((second,), 0))
    assert state.ended() and "nothing to measure" in store.read(f"{state.prefix}/report.html").decode()


def test_stages_behind_a_failed_one_are_out_of_reach(make_run):
    state = make_run(done=("ingest", "preprocess"))
    assert not state.ended()
    state.failed("segment", BadInput("segment: no. Try."))
    assert state.ended()
    state.put_off("segment", OSError("once more"))
    assert not state.ended()


def make_request(state: RunState, stage: str) -> bytes:
    from porelay_schemas import relay

    return relay.request_for(stage, state.run(), state.plan(), state.results()).model_dump_json().encode()


def test_an_artifact_is_committed_before_the_next_stage_is_asked_and_the_message_goes_last(
    make_run, make_worker, broker, stages, monkeypatch, store
):
    state, order = make_run(), []
    begin(state, broker)
    publish, ack = broker.publish, broker.ack

    def spied_publish(stage, body):
        order.append(("publish", stage, any(key.endswith("/manifest.json") for key in store.list("artifacts/ingest"))))
        publish(stage, body)

    monkeypatch.setattr(broker, "publish", spied_publish)
    monkeypatch.setattr(broker, "ack", lambda delivery: (order.append(("ack", delivery.stage, True)), ack(delivery)))
    make_worker().handle(broker.get(("ingest",), 0))
    assert order == [("publish", "preprocess", True), ("ack", "ingest", True)]
    assert set(state.results()) == {"ingest"}


def test_stages_that_overtake_the_notes_of_what_fed_them_are_joined_all_the_same(
    make_run, make_worker, broker, stages, monkeypatch
):
    state, publish, first, other = make_run(), broker.publish, make_worker(), make_worker()
    begin(state, broker)

    def done_at_once(stage, body):
        publish(stage, body)
        work_off(other, broker)

    monkeypatch.setattr(broker, "publish", done_at_once)
    first.handle(broker.get(("ingest",), 0))
    assert state.ended() and set(state.results()) == set(state.plan().stages)
    assert len(first.outcomes + other.outcomes) == len(state.plan().stages)
    assert state.store.exists(f"{state.prefix}/report.html")


def test_a_worker_that_dies_between_asking_and_noting_leaves_nothing_undone(
    make_run, make_worker, broker, stages, monkeypatch
):
    state = make_run()
    begin(state, broker)
    body = broker.waiting("ingest")[0]
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(RunState, "done", failing(SystemExit()))
        make_worker().handle(broker.get(("ingest",), 0))
    assert broker.waiting("preprocess") and not state.results()
    broker.publish("ingest", body)
    work_off(make_worker(), broker)
    assert state.ended() and set(state.results()) == set(state.plan().stages)


def test_two_workers_with_the_same_message_make_one_result(make_run, make_worker, broker, stages, store):
    state, both_there = make_run(), threading.Barrier(2, timeout=10)
    stages["ingest"] = lambda request, bench: both_there.wait()
    begin(state, broker)
    broker.publish("ingest", broker.waiting("ingest")[0])
    workers = [make_worker(), make_worker()]
    deliveries = [broker.get(("ingest",), 0) for _ in workers]
    threads = [threading.Thread(target=one.handle, args=(it,)) for one, it in zip(workers, deliveries, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.outcomes for one in workers] == [[("ingest", "ok")], [("ingest", "ok")]]
    assert len({key.split("/")[2] for key in store.list("artifacts/ingest")}) == 1
    assert not list(store.list("staging"))
    work_off(workers[0], broker)
    assert state.ended() and not any(broker.dead_letters(stage) for stage in STAGES)


def test_a_delivery_whose_connection_was_lost_is_shrugged_at_and_absorbed_when_it_comes_again(
    make_run, make_worker, broker, stages
):
    state, one = make_run(), make_worker()
    begin(state, broker)
    delivery = broker.get(("ingest",), 0)
    stages["ingest"] = lambda request, bench: broker.lost(delivery)
    one.handle(delivery)
    del stages["ingest"]
    one.handle(broker.get(("ingest",), 0))
    assert one.outcomes == [("ingest", "lost"), ("ingest", "skipped")]
    assert len(requests_in(broker, "preprocess")) == 2  # the next stage was asked before the loss, too
    work_off(one, broker)
    assert one.outcomes.count(("preprocess", "ok")) == one.outcomes.count(("preprocess", "skipped")) == 1
    assert state.ended() and broker.idle()


def test_a_cancelled_run_is_not_computed(make_run, make_worker, broker, stages):
    state = make_run()
    begin(state, broker)
    state.cancel()
    assert work_off(make_worker(), broker) == [("ingest", "cancelled")]
    assert broker.idle() and not state.results()


def endless(request, bench):
    for step in range(10**9):
        bench.progress(step, 10**9)
        time.sleep(0.01)


@pytest.mark.parametrize("told", [True, False], ids=["by the broker", "by the store alone"])
def test_a_cancel_ends_what_is_being_computed_within_seconds(told, make_run, make_worker, broker, stages, monkeypatch):
    monkeypatch.setattr(worker, "LOOK_S", 60.0 if told else 0.5)
    state, ended = make_run(), threading.Event()
    stages["ingest"] = endless
    begin(state, broker)
    one = make_worker()
    thread = threading.Thread(target=one.work, args=(ended.is_set,))
    thread.start()
    wait_for(lambda: one.held() and one.held().run_id)
    time.sleep(0.3)
    state.cancel()
    if told:
        broker.emit(f"control.run.{state.run_id}", b"")
    began = time.monotonic()
    wait_for(lambda: one.outcomes)
    assert time.monotonic() - began < 2
    assert one.outcomes == [("ingest", "cancelled")]
    ended.set()
    thread.join()


def wait_for(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_training_whose_slice_is_over_is_asked_again_as_a_first_attempt(make_run, make_worker, broker, stages):
    state, slices = make_run(), []

    def sliced(request, bench):
        (bench.scratch / "checkpoint").write_text("".join(slices))
        slices.append("x")
        if len(slices) < 4:
            raise SliceOver("saved")
        assert (bench.scratch / "checkpoint").read_text() == "xxx"

    stages["ingest"] = sliced
    begin(state, broker)
    outcomes = work_off(make_worker(), broker)
    assert outcomes[:4] == [("ingest", "sliced")] * 3 + [("ingest", "ok")]
    assert state.ended()


def test_a_worker_that_is_asked_to_leave_finishes_what_it_holds_and_takes_nothing_more(
    make_run, make_worker, broker, stages
):
    leaving, saw = threading.Event(), []

    def slow(request, bench):
        leaving.set()
        saw.append(bench.slice_over)

    stages["ingest"] = slow
    state = make_run()
    begin(state, broker)
    one = make_worker()
    one.work(leaving.is_set)
    assert one.outcomes == [("ingest", "ok")] and saw == [True]
    assert len(requests_in(broker, "preprocess")) == 1


def test_progress_is_told_once_a_second_and_at_the_end(make_run, make_worker, broker, stages, monkeypatch):
    monkeypatch.setattr("porelay_kit.bench.TICK_S", 0.0)
    heard = []
    broker.subscribe("run.", lambda key, body: heard.append((key.rpartition(".")[2], body)))

    def busy(request, bench):
        for step in range(101):
            bench.progress(step, 100, loss=0.5)

    stages["ingest"] = busy
    begin(make_run(), broker)
    make_worker().handle(broker.get(("ingest",), 0))
    assert [kind for kind, _ in heard] == ["began", "progress", "progress", "done"]
    first, last = (json.loads(body) for kind, body in heard if kind == "progress")
    assert (first["done"], last["done"], last["total"], last["loss"]) == (0, 100, 100, 0.5)


def test_a_worker_tells_that_it_is_alive_and_what_it_holds_when_asked(make_run, make_worker, broker, stages):
    heard, ended = [], threading.Event()
    broker.subscribe("worker.", lambda key, body: heard.append((key.rpartition(".")[2], json.loads(body))))
    stages["ingest"] = lambda request, bench: ended.wait(10)
    state, one = make_run(), make_worker()
    thread = threading.Thread(target=one.work, args=(ended.is_set,))
    thread.start()
    wait_for(lambda: len(heard) == len(STAGES))
    assert heard[0] == ("alive", {"stage": "ingest", "state": "idle", "run_id": None, "since": None})
    begin(state, broker)
    wait_for(lambda: one.held() and one.held().run_id)
    for command in (b"not json", b'{"ask": "something else"}', b'{"ask": "holding"}'):
        broker.emit("control.all", command)
    wait_for(lambda: len(heard) > len(STAGES))
    assert heard[-1] == ("holding", {"holding": [{"stage": "ingest", "run_id": state.run_id}]})
    broker.emit("control.stage.segment", b'{"ask": "holding"}')
    wait_for(lambda: len(heard) > len(STAGES) + 1)
    ended.set()
    thread.join()


def test_a_store_that_does_not_answer_for_a_moment_cancels_nothing():
    answers = [StoreUnavailable("away"), True, StoreUnavailable("away")]

    def look():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = Throttled(look, 0.0)
    assert [asked(), asked(), asked()] == [False, True, True]


def test_a_question_is_put_to_the_store_no_more_often_than_it_should():
    looks = []
    asked = Throttled(lambda: bool(looks.append(1)), 60.0)
    for _ in range(100):
        asked()
    assert len(looks) == 1
    asked.at_once()
    asked()
    assert len(looks) == 2


def test_a_stage_over_its_limit_stops_when_it_tells_how_far_it_is_and_is_parked(
    make_run, make_worker, broker, stages, monkeypatch
):
    state = make_run(done=("ingest",))
    reached = []

    def slow(request, bench):
        bench.progress(1, 10)
        bench._began -= 61
        bench._told = 0.0
        bench.progress(2, 10)
        reached.append("behind the limit")

    stages["preprocess"] = slow
    follow(state, broker, state.run(), state.plan(), result_of(state.run_id, "ingest"), fresh=False)
    assert work_off(make_worker(), broker) == [("preprocess", "dead")]
    (letter,) = broker.dead_letters("preprocess")
    assert letter.error == "TookTooLong" and "preprocess: not done within 60 s." in letter.text
    assert "raise PORELAY_STAGE_LIMIT_S" in state.failures()["preprocess"].text and not reached


def test_a_stage_that_is_all_done_is_not_thrown_away_at_its_limit(make_run, make_worker, broker, stages):
    state = make_run()

    def late(request, bench):
        bench._began -= 61
        bench.progress(10, 10)

    stages["ingest"] = late
    begin(state, broker)
    assert work_off(make_worker(), broker)[0] == ("ingest", "ok")


def test_only_what_goes_on_beyond_limit_and_patience_is_given_up(make_run, make_worker, broker, stages):
    state, verdicts, one = make_run(done=("ingest",)), [], make_worker(stage_limit_s=1.0)

    def silent(request, bench):
        verdicts.extend([one.give_up(60.0), one.give_up(-1.0), one.give_up(-1.0)])

    assert not one.give_up(-1.0)
    stages["preprocess"] = silent
    follow(state, broker, state.run(), state.plan(), result_of(state.run_id, "ingest"), fresh=False)
    outcomes = work_off(one, broker)
    assert verdicts == [False, True, False] and outcomes[0] == ("preprocess", "lost")
    assert [letter.error for letter in broker.dead_letters("preprocess")] == ["TookTooLong"]
    assert state.ended()
