import threading
from datetime import UTC, datetime, timedelta

import pytest
from made import ALL
from prometheus_client import CollectorRegistry

from porelay_kit.census import Census
from porelay_kit.store.folder import FolderStore
from porelay_schemas.errors import BadInput, StoreUnavailable
from porelay_schemas.intake import Intake, intake_key


@pytest.fixture
def census(store):
    return Census(CollectorRegistry(), store)


def shown(census, name):
    (metric,) = [one for one in census.registry.collect() if one.name == name]
    return {sample.labels.get("state", ""): sample.value for sample in metric.samples if sample.value}


def drop(store, name, state, hours):
    now = datetime.now(UTC)
    since = now - timedelta(hours=hours)
    record = Intake(drop=name, state=state, plan="p", version="v", objects=1, size_bytes=1, since=since, at=now)
    store.write(intake_key(name), record.model_dump_json().encode())


def test_runs_are_counted_by_state(store, census, make_run):
    make_run(1, ALL)
    make_run(2, ALL[:2])
    make_run(3)
    make_run(4).cancel()
    make_run(5).failed("ingest", BadInput("no"))
    store.write("runs/odd/run.json", b"{}")
    census.look()
    assert shown(census, "porelay_runs") == {"done": 1, "unfinished": 2, "cancelled": 1, "failed": 1, "damaged": 1}


def test_drops_are_counted_by_state_and_the_oldest_that_waits_is_timed(store, census):
    for name, state, hours in (("a", "waiting", 2), ("b", "waiting", 7), ("c", "rejected", 50), ("d", "ingested", 90)):
        drop(store, name, state, hours)
    store.write(intake_key("odd"), b"nonsense")
    census.look()
    assert shown(census, "porelay_drops") == {"waiting": 2, "rejected": 1, "ingested": 1}
    assert shown(census, "porelay_drop_oldest_waiting_seconds")[""] == pytest.approx(7 * 3600, abs=10)
    drop(store, "b", "started", 7)
    drop(store, "a", "started", 2)
    census.look()
    assert shown(census, "porelay_drop_oldest_waiting_seconds") == {}


def test_the_oldest_run_that_is_not_finished_is_timed(store, census, make_run):
    make_run(1, ALL)
    census.look()
    assert shown(census, "porelay_run_oldest_unfinished_seconds") == {}
    hours = {2: 3, 3: 8, 4: 90}
    for number, ago in hours.items():
        state = make_run(number)
        created = datetime.now(UTC) - timedelta(hours=ago)
        run = state.run().model_copy(update={"created": created})
        store.write(f"{state.prefix}/run.json", run.model_dump_json().encode())
        if number == 4:
            state.cancel()
    census.look()
    assert shown(census, "porelay_run_oldest_unfinished_seconds")[""] == pytest.approx(8 * 3600, abs=10)


def test_a_second_look_reads_no_plan_again(census, make_run, monkeypatch):
    make_run(1)
    census.look()
    monkeypatch.setattr(FolderStore, "read", None)
    census.look()
    assert shown(census, "porelay_runs") == {"unfinished": 1}


def test_a_store_that_is_away_is_looked_at_again(census, make_run, monkeypatch):
    make_run(1)
    leaving, real, looks = threading.Event(), census.look, []

    def look():
        looks.append(1)
        if len(looks) == 1:
            raise StoreUnavailable("away")
        real()
        leaving.set()

    monkeypatch.setattr(census, "look", look)
    census.watch(leaving, every_s=0)
    assert shown(census, "porelay_runs") == {"unfinished": 1}
