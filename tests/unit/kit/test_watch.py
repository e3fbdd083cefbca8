import json
import threading
import time

import pytest
from made import ALL, finish

from porelay_kit.cli import watch as module
from porelay_kit.cli.watch import Events, follow, outcome_of
from porelay_kit.runner.embedded import Watcher
from porelay_kit.store.folder import FolderStore
from porelay_schemas.errors import BadInput, BrokerUnavailable, Stopped, StoreUnavailable


class Heard:
    """What a watcher was told, in order."""

    def __init__(self):
        self.told = []
        self.watch = Watcher(
            lambda request: self.told.append(("began", request.stage)),
            lambda progress: self.told.append(("progress", progress.stage, progress.done, dict(progress.figures))),
            lambda outcome: self.told.append(("ended", outcome.stage)),
        )


@pytest.fixture
def heard():
    return Heard()


def tell(broker, state, stage, kind, **body):
    broker.emit(f"run.{state.run_id}.{stage}.{kind}", json.dumps(body).encode())


def test_what_was_done_before_is_told_from_the_store(make_run, heard):
    state = make_run(1, ALL)
    now = follow(state, Events(None, state.run_id), heard.watch)
    assert now.state == "done" and heard.told == [("ended", stage) for stage in ALL]


def test_a_run_that_goes_on_is_followed_to_its_end(make_run, broker, heard):
    state = make_run(1, ALL[:-1])
    events = Events(broker, state.run_id)

    def work():
        tell(broker, state, "mesher", "progress", done=3, total=9, seconds=2, quality=0.5)
        tell(broker, state, "mesher", "progress", done="nonsense", total=9)
        finish(state, "mesher")
        tell(broker, state, "mesher", "done")

    threading.Timer(0.1, work).start()
    began = time.monotonic()
    assert follow(state, events, heard.watch, poll_s=60).state == "done"
    assert time.monotonic() - began < 20
    assert heard.told[-2:] == [("progress", "mesher", 3.0, {"quality": 0.5}), ("ended", "mesher")]


def test_without_events_the_store_tells(make_run, heard):
    state = make_run(1, ALL[:-1])
    threading.Timer(0.1, finish, (state, "mesher")).start()
    assert follow(state, Events(None, state.run_id), heard.watch, poll_s=0.05).state == "done"
    assert heard.told.count(("ended", "mesher")) == 1


def test_a_failure_that_was_replayed_and_a_second_one_are_told_both(make_run, heard):
    state = make_run(1)
    told = module.Tale(state, heard.watch)
    for _ in range(2):
        state.failed("ingest", BadInput("no"))
        told.catch_up(module.history(state, times=False))
        told.catch_up(module.history(state, times=False))
    assert heard.told == [("ended", "ingest")] * 2


def test_a_store_that_is_away_for_a_while_is_waited_for(make_run, heard, monkeypatch):
    state = make_run(1, ALL)
    outage = [StoreUnavailable("away"), StoreUnavailable("away")]
    real = FolderStore.list

    def listed(self, prefix):
        if outage:
            raise outage.pop()
        return real(self, prefix)

    monkeypatch.setattr(FolderStore, "list", listed)
    assert follow(state, Events(None, state.run_id), heard.watch, poll_s=0.01).state == "done"


def test_a_store_that_stays_away_is_an_error(make_run, heard, monkeypatch):
    state = make_run(1, ALL)

    def listed(self, prefix):
        raise StoreUnavailable("away")

    monkeypatch.setattr(FolderStore, "list", listed)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    with pytest.raises(StoreUnavailable):
        follow(state, Events(None, state.run_id), heard.watch, poll_s=0.01)


def test_a_cancelled_run_ends_the_watching(make_run, heard):
    state = make_run(1, ALL[:1])
    state.cancel()
    now = follow(state, Events(None, state.run_id), heard.watch)
    with pytest.raises(Stopped, match="was cancelled"):
        outcome_of(state, now)


def test_a_report_that_no_worker_wrote_is_written_here(make_run, heard, monkeypatch):
    monkeypatch.setattr(module, "REPORT_S", 0)
    state = make_run(1)
    state.failed("ingest", BadInput("no"))
    now = follow(state, Events(None, state.run_id), heard.watch)
    outcome = outcome_of(state, now)
    assert state.store.exists(outcome.report) and list(outcome.failures) == ["ingest"]


@pytest.mark.parametrize(
    ("error", "code"), [(BadInput("no"), 2), (ZeroDivisionError("bug"), 1), (StoreUnavailable("gone"), 3)]
)
def test_the_exit_code_is_that_of_the_run(command, make_run, monkeypatch, error, code):
    monkeypatch.setattr(module, "REPORT_S", 0)
    state = make_run(1)
    state.failed("ingest", error)
    assert command("watch", state.run_id).exit_code == code


def test_the_command_goes_by_the_store_when_the_broker_does_not_answer(command, make_run, monkeypatch):
    def dead(settings):
        raise BrokerUnavailable("no answer")

    monkeypatch.setattr("porelay_kit.cli.servers.open_broker", dead)
    state = make_run(1, ALL)
    state.store.write(f"{state.prefix}/report.html", b"report")
    done = command("watch", state.run_id)
    assert done.exit_code == 0 and "Going by the store alone" in done.stderr
    assert done.stderr.count("done") >= 5 and "report: " in done.stdout
