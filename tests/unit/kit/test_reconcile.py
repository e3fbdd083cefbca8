import json
import random

import pytest
from made import ALL, requests_in, result_of, waiting

from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.runner.asking import begin
from porelay_kit.runner.history import Spot
from porelay_kit.runner.reconcile import ask, reconcile, take_up
from porelay_kit.runner.worker import Worker
from porelay_kit.settings import Settings
from porelay_schemas import relay
from porelay_schemas.errors import BadInput
from porelay_schemas.route import STAGES


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("porelay_kit.runner.history.ANSWER_S", 0.0)
    monkeypatch.setattr("porelay_kit.runner.embedded.write_report", written)


def written(state):
    state.store.write(f"{state.prefix}/report.html", b"report")
    return f"{state.prefix}/report.html"


def answering(broker, *held):
    """Let a worker answer that it holds these."""
    body = json.dumps({"holding": [{"run_id": run_id, "stage": stage} for run_id, stage in held]}).encode()
    broker.subscribe("control.all", lambda key, asked: broker.emit("worker.here-1.holding", body))


def test_a_wiped_broker_gets_exactly_what_is_ready_and_has_no_result(store, broker, make_run):
    fresh, half, forked = make_run(1), make_run(2, ALL[:1]), make_run(3, ALL[:3])
    account = reconcile(store, broker)
    wanted = [
        (fresh.run_id, "ingest"),
        (half.run_id, "preprocess"),
        (forked.run_id, "metrics"),
        (forked.run_id, "mesher"),
    ]
    assert waiting(broker) == sorted(wanted) == sorted(account.asked)


def test_what_was_asked_again_is_the_request_that_a_worker_would_have_sent(store, broker, make_run):
    state = make_run(1, ALL[:2])
    reconcile(store, broker)
    (request,) = requests_in(broker, "segment")
    assert request.volume == result_of(state.run_id, "preprocess").volume
    assert request.use == state.plan().stages["segment"].use
    assert store.exists(f"{state.prefix}/requests/segment.json")


def test_reconciling_twice_asks_for_nothing_the_second_time(store, broker, make_run):
    make_run(1), make_run(2, ALL[:3])
    assert len(reconcile(store, broker).asked) == 3
    again = reconcile(store, broker)
    assert not again.asked and len(again.queued) == 3 and len(waiting(broker)) == 3


def test_a_dry_run_tells_the_same_and_does_nothing(store, broker, make_run):
    make_run(1), make_run(2, ALL)
    account = reconcile(store, broker, dry_run=True)
    assert len(account.asked) == 1 and len(account.reports) == 1
    assert not waiting(broker) and not store.exists("runs/s2-forked/report.html")
    assert reconcile(store, broker).asked == account.asked


def test_what_a_worker_holds_is_left_out_and_what_its_end_will_ask_for(store, broker, make_run):
    computing, about_to_ask = make_run(1, ALL[:1]), make_run(2, ALL[:3])
    answering(broker, (computing.run_id, "preprocess"), (about_to_ask.run_id, "segment"))
    account = reconcile(store, broker)
    assert not account.asked and not waiting(broker)
    assert [spot.stage for spot in account.held] == ["preprocess", "metrics", "mesher"]


def test_what_is_put_off_is_on_its_way(store, broker, make_run):
    state = make_run(1)
    begin(state, broker)
    assert broker.retry(broker.get(("ingest",), 0), OSError("later"))
    account = reconcile(store, broker)
    assert account.queued == [Spot(state.run_id, "ingest")] and not account.asked


def test_dead_letters_and_failures_are_left_to_the_dlq(store, broker, make_run):
    parked, failed = make_run(1), make_run(2)
    begin(parked, broker)
    broker.park(broker.get(("ingest",), 0), BadInput("no"))
    failed.failed("ingest", BadInput("no"))
    account = reconcile(store, broker)
    assert not account.asked and not waiting(broker)
    assert account.parked == [Spot(parked.run_id, "ingest")] and account.failed == [Spot(failed.run_id, "ingest")]


def test_a_cancelled_run_stays_as_it_is_until_it_is_taken_up(store, broker, make_run):
    state = make_run(1, ALL[:1])
    state.cancel()
    assert reconcile(store, broker).cancelled == [state.run_id] and not waiting(broker)
    assert take_up(state, broker) == ["preprocess"]
    assert not state.cancelled() and waiting(broker) == [(state.run_id, "preprocess")]


def test_taking_up_a_failed_run_asks_for_it_once_though_its_dead_letter_is_still_there(store, broker, make_run):
    state = make_run(1)
    begin(state, broker)
    broker.park(broker.get(("ingest",), 0), BadInput("no"))
    state.failed("ingest", BadInput("no"))
    assert take_up(state, broker) == ["ingest"] and not state.failures()
    assert take_up(state, broker) == []


def test_a_finished_run_gets_the_report_that_it_lacks_and_so_does_one_that_failed(store, broker, make_run):
    done, failed, open_ = make_run(1, ALL), make_run(2, ALL[:1]), make_run(3)
    failed.failed("preprocess", BadInput("no"))
    assert reconcile(store, broker).reports == [done.run_id, failed.run_id]
    assert store.exists(f"{done.prefix}/report.html") and not store.exists(f"{open_.prefix}/report.html")
    assert reconcile(store, broker).reports == []


def test_only_the_runs_that_are_named_are_looked_at(store, broker, make_run):
    first, _ = make_run(1), make_run(2)
    reconcile(store, broker, [first.run_id])
    assert waiting(broker) == [(first.run_id, "ingest")]
    with pytest.raises(BadInput, match=f"not in .* Did you mean '{first.run_id}'"):
        reconcile(store, broker, [first.run_id[:-1]])


def test_a_stack_on_another_machine_is_not_asked_for_but_what_follows_its_ingest_is(store, broker, make_run):
    far = make_run(1, uri="file:///not/here/s1.tif")
    ingested = make_run(2, ALL[:1], uri="file:///not/here/s2.tif")
    account = reconcile(store, broker)
    assert account.elsewhere == [far.run_id] and account.asked == [Spot(ingested.run_id, "preprocess")]


def test_a_damaged_run_does_not_keep_the_others_back(store, broker, make_run):
    store.write("runs/broken/run.json", b"{}")
    state = make_run(1)
    account = reconcile(store, broker)
    assert list(account.damaged) == ["broken"] and account.asked == [Spot(state.run_id, "ingest")]


def test_parameters_that_an_operator_patched_stay_patched(store, broker, make_run):
    state = make_run(1)
    reconcile(store, broker)
    (request,) = requests_in(broker, "ingest")
    patched = request.model_copy(update={"use": state.plan().stages["segment"].use})
    state.asked(patched)
    wiped = MemoryBroker(STAGES)
    reconcile(store, wiped)
    assert requests_in(wiped, "ingest") == [patched]


def test_a_broker_without_queues_is_told_in_words(store, make_run):
    state = make_run(1)
    request = relay.request_for("ingest", state.run(), state.plan(), {})
    with pytest.raises(BadInput, match=r"'ingest'\. Run `porelay topology apply`"):
        ask(state, MemoryBroker(["segment"]), request)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_mixture_each_missing_stage_is_asked_for_once(store, broker, make_run, seed):
    chance = random.Random(seed)
    states = [make_run(number, ALL[: chance.randrange(6)]) for number in range(12)]
    held, left = [], set()
    for state in states:
        for stage in [name for name in ALL if name not in state.notes().done][:1]:
            match chance.randrange(5):
                case 0:
                    reconcile(store, broker, [state.run_id])
                case 1:
                    held.append((state.run_id, stage))
                    left.add((state.run_id, stage))
                case 2:
                    state.failed(stage, BadInput("no"))
                    left.add((state.run_id, stage))
                case 3:
                    state.cancel()
                    left |= {(state.run_id, name) for name in ALL}
    answering(broker, *held)
    reconcile(store, broker)
    found = waiting(broker)
    ready = [
        (state.run_id, stage)
        for state in states
        for stage in ALL
        if stage not in state.notes().done and set(state.plan().feeders(stage)) <= state.notes().done
    ]
    assert found == sorted(set(ready) - left)
    reconcile(store, broker)
    assert waiting(broker) == found


@pytest.mark.parametrize("seed", range(3))
def test_runs_end_with_every_stage_computed_once_though_the_broker_is_wiped_again_and_again(store, make_run, seed):
    chance, computed = random.Random(seed), []
    states = [make_run(number) for number in range(6)]

    def do(request, *others):
        computed.append((request.run_id, request.stage))
        return result_of(request.run_id, request.stage)

    def done():
        return all(set(state.notes().done) == set(ALL) for state in states)

    for _ in range(60):
        broker = MemoryBroker(STAGES)
        worker = Worker(tuple(STAGES), broker, store, Settings(home=store.home), do=do)
        reconcile(store, broker)
        for _ in range(chance.randrange(1, 6)):
            if (delivery := broker.get(tuple(STAGES), 0)) is not None:
                worker.handle(delivery)
        if done():
            break
    assert done()
    assert sorted(computed) == sorted((state.run_id, stage) for state in states for stage in ALL)
    assert not reconcile(store, MemoryBroker(STAGES)).asked


def test_the_command_says_in_words_what_it_did(command, store, make_run):
    first, second = make_run(1), make_run(2, ALL)
    second.store.write(f"{second.prefix}/report.html", b"there")
    said = command("reconcile").stdout
    assert f"{first.run_id}  asked for ingest" in said
    assert "asked for 1 stage; 0 missing reports; 1 run done" in said
    assert command.json("reconcile", "--dry-run")["queued"] == [{"run_id": first.run_id, "stage": "ingest"}]


def test_the_command_needs_a_broker(lonely):
    done = lonely("reconcile")
    assert isinstance(done.exception, BadInput) and "PORELAY_AMQP_URL is not set" in str(done.exception)
