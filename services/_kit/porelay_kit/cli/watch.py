"""`porelay watch`: a run as it goes; what was from the store, what is from the workers' events."""

import contextlib
import json
import queue
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
from pydantic import ValidationError

from porelay_kit.bench import Progress
from porelay_kit.broker.base import Broker
from porelay_kit.cli import json_option
from porelay_kit.cli.console import watcher
from porelay_kit.cli.run import answer, code
from porelay_kit.cli.servers import broker_if_any, home_option, run_argument, store_at, without_broker
from porelay_kit.runner.embedded import Outcome, Watcher, write_report
from porelay_kit.runner.history import RunHistory, history
from porelay_kit.runner.state import REQUEST, RunState
from porelay_schemas.errors import BrokerUnavailable, Retryable, Stopped

POLL_S = 2.0
"""How often one looks into the store: events may be lost, and there may be no broker."""

PATIENCE_S = 120.0
"""How long a store that does not answer is waited for."""

REPORT_S = 15.0
"""How long the worker that ended a run has to write its report."""


class Event(NamedTuple):
    """What a worker tells of a stage."""

    stage: str
    kind: str
    body: bytes


class Events:
    """The events of one run, as they come; none where there is no broker."""

    def __init__(self, broker: Broker | None, run_id: str) -> None:
        self._prefix = f"run.{run_id}."
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        if broker is not None:
            try:
                broker.subscribe(self._prefix, self._hear)
            except BrokerUnavailable as error:
                without_broker(error)

    def _hear(self, key: str, body: bytes) -> None:
        stage, _, kind = key.removeprefix(self._prefix).partition(".")
        self._queue.put(Event(stage, kind, body))

    def next(self, within_s: float) -> Event | None:
        """Return the next event, None where none came in time."""
        try:
            return self._queue.get(timeout=max(0.0, within_s)) if within_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None


class Tale:
    """Tells a watcher of a run, each thing once."""

    def __init__(self, state: RunState, watch: Watcher) -> None:
        self._state, self._watch = state, watch
        self._begun: dict[str, float] = {}
        self._ended: dict[str, object] = {}
        self._put_off: dict[str, object] = {}

    def catch_up(self, now: RunHistory) -> None:
        """Tell what has ended or was put off since the last look."""
        for part in now.stages:
            if part.again and self._put_off.get(part.stage) != part.started:
                self._watch.put_off(part.stage, part.text)
                self._put_off[part.stage] = part.started
        for stage in now.plan.stages:
            outcome = now.results.get(stage) or now.failures.get(stage)
            if outcome is not None and self._ended.get(stage) != outcome:
                self._begin(stage)
                self._watch.ended(outcome)
                self._ended[stage] = outcome
                del self._begun[stage]

    def hear(self, event: Event) -> bool:
        """Tell of an event; return whether it is worth a look into the store."""
        if event.kind == "began":
            self._begin(event.stage)
        elif event.kind == "progress":
            self._begin(event.stage)
            with contextlib.suppress(ValueError, TypeError, KeyError):
                self._watch.progress(self._progress(event))
        return event.kind not in ("began", "progress")

    def _begin(self, stage: str) -> None:
        if stage in self._begun:
            return
        self._begun[stage] = time.monotonic()
        with contextlib.suppress(KeyError, ValidationError):
            request = REQUEST.validate_json(self._state.store.read(f"{self._state.prefix}/requests/{stage}.json"))
            self._watch.began(request)

    def _progress(self, event: Event) -> Progress:
        figures = {name: float(value) for name, value in json.loads(event.body).items()}
        done, total = figures.pop("done"), figures.pop("total")
        seconds = figures.pop("seconds", time.monotonic() - self._begun[event.stage])
        return Progress(event.stage, done, total, seconds, figures)


def follow(state: RunState, events: Events, watch: Watcher, *, poll_s: float = POLL_S) -> RunHistory:
    """Tell a watcher of a run until it has ended; return how.

    A store that does not answer is waited for; after two minutes StoreUnavailable is raised.
    """
    tale = Tale(state, watch)
    answered, seen = time.monotonic(), None
    while True:
        try:
            notes = state.notes()
            answered = time.monotonic()
            if notes != seen:
                now, seen = history(state, times=False), notes
                tale.catch_up(now)
                if now.state in ("done", "failed", "cancelled"):
                    return now
        except Retryable:
            if time.monotonic() - answered > PATIENCE_S:
                raise
        _listen(tale, events, poll_s)


def _listen(tale: Tale, events: Events, poll_s: float) -> None:
    look = time.monotonic() + poll_s
    while (event := events.next(look - time.monotonic())) is not None or time.monotonic() < look:
        if event is not None and tale.hear(event):
            return


def outcome_of(state: RunState, now: RunHistory) -> Outcome:
    """Return how a run ended, with its report: that of the worker that ended it, else one that is written here."""
    if now.state == "cancelled":
        raise Stopped(f"run {state.run_id!r} was cancelled. Submit it again to continue.")
    key = f"{state.prefix}/report.html"
    deadline = time.monotonic() + REPORT_S
    while not state.store.exists(key) and time.monotonic() < deadline:
        time.sleep(0.2)
    if not state.store.exists(key):
        key = write_report(state)
    return Outcome(dict(now.results), dict(now.failures), key)


@click.command()
@run_argument
@home_option
@json_option
def watch(run_id: str, home: Path | None, as_json: bool) -> None:
    """Show RUN as it goes, until it has ended.

    What was done already the store tells, what is going on the workers. Without a broker, or when it is lost, the
    store tells, a little later. Ends with the table and the exit code of the run, as `porelay run` does; an
    interrupt ends the watching, not the run.
    """
    state = RunState(store_at(home), run_id)
    state.run()
    with broker_if_any() as broker:
        watch_to_the_end(state, broker, as_json=as_json)


def watch_to_the_end(state: RunState, broker: Broker | None, *, as_json: bool) -> None:
    """Follow a run, print how it ended, and leave with its exit code."""
    events = Events(broker, state.run_id)
    try:
        with watcher(quiet=as_json, remote=True) as watch:
            now = follow(state, events, watch)
    except KeyboardInterrupt:
        click.echo(f"The run goes on; see it again: porelay watch {state.run_id}", err=True)
        raise
    outcome = outcome_of(state, now)
    answer(state, outcome, as_json=as_json)
    sys.exit(code(outcome))
