"""What lies in the store, counted now and then: runs and drops by state. Only a worker that ingests looks."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge
from pydantic import ValidationError

from porelay_kit.runner.history import marks, whole
from porelay_kit.runner.plans import Plans
from porelay_kit.runner.state import RunState
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadInput, Retryable
from porelay_schemas.intake import PREFIX, DropState, Intake
from porelay_schemas.manifest import Run
from porelay_schemas.plan import Plan

READERS = 8
EVERY_S = 60.0
REST = 20
"""A look that takes long is followed by a rest that is so many times as long."""

RUN_STATES = {"done": "done", "waiting": "unfinished", "failed": "failed", "cancelled": "cancelled"}
"""The store does not tell whether what is not finished waits or is in somebody's hands."""


class Census:
    """Counts runs and drops. Several workers that ingest say the same, each when it counts: take the newest."""

    def __init__(self, registry: CollectorRegistry, store: Store) -> None:
        self.registry, self._store = registry, store
        self._runs = Gauge("porelay_runs", "Runs in the store", ["state"], registry=registry)
        self._drops = Gauge("porelay_drops", "Drops in the inbox", ["state"], registry=registry)
        self._oldest = Gauge(
            "porelay_drop_oldest_waiting_seconds",
            "Since the oldest drop that is not complete was seen first, 0 if none",
            registry=registry,
        )
        self._unfinished = Gauge(
            "porelay_run_oldest_unfinished_seconds",
            "Since the oldest unfinished run began, 0 if none",
            registry=registry,
        )
        self._looked = Gauge("porelay_census_timestamp_seconds", "When runs and drops were counted", registry=registry)
        self._known: dict[str, Run] = {}
        self._plans = Plans(store)

    def look(self) -> None:
        """Count; raise StoreUnavailable where the store does not answer."""
        runs = list(self._run_states())
        states = Counter(state for state, _ in runs)
        drops = list(self._intakes())
        for state in (*RUN_STATES.values(), "damaged"):
            self._runs.labels(state).set(states[state])
        for name in get_args(DropState):
            self._drops.labels(name).set(sum(drop.state == name for drop in drops))
        self._oldest.set(_age_s(drop.since for drop in drops if drop.state == "waiting"))
        self._unfinished.set(_age_s(run.created for state, run in runs if run and state == "unfinished"))
        self._looked.set_to_current_time()

    def _run_states(self) -> Iterator[tuple[str, Run | None]]:
        found = marks(self._store)
        with ThreadPoolExecutor(READERS) as pool:
            plans = list(pool.map(self._plan, found))
        for (run_id, mark), plan in zip(found.items(), plans, strict=True):
            yield RUN_STATES[whole(plan, mark.notes)] if plan else "damaged", self._known.get(run_id)

    def _plan(self, run_id: str) -> Plan | None:
        """Return the plan of a run, None where it is damaged; each run is read once."""
        try:
            if run_id not in self._known:
                self._known[run_id] = RunState(self._store, run_id).run()
            return self._plans[self._known[run_id].plan]
        except (KeyError, ValueError, BadInput):
            return None

    def _intakes(self) -> Iterator[Intake]:
        with ThreadPoolExecutor(READERS) as pool:
            yield from (one for one in pool.map(self._intake, self._store.list(PREFIX)) if one is not None)

    def _intake(self, key: str) -> Intake | None:
        try:
            return Intake.model_validate_json(self._store.read(key))
        except (KeyError, ValidationError):
            return None

    def start(self, leaving: threading.Event) -> None:
        """Count in a thread from now on, until it is time to leave."""
        threading.Thread(target=self.watch, args=(leaving,), name="census", daemon=True).start()

    def watch(self, leaving: threading.Event, every_s: float = EVERY_S) -> None:
        """Count again and again until it is time to leave; a store that is away is asked again."""
        while not leaving.is_set():
            began = time.monotonic()
            with suppress(Retryable):
                self.look()
            leaving.wait(max(every_s, REST * (time.monotonic() - began)))


def _age_s(times: Iterable[datetime]) -> float:
    """Return how long ago the earliest was, 0 where there is none."""
    earliest = min(times, default=None)
    return (datetime.now(UTC) - earliest).total_seconds() if earliest else 0.0
