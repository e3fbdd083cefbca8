"""What has become of a run, from the store alone; who works on it now, from the workers where a broker is there."""

import contextlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from porelay_kit.broker.base import Broker
from porelay_kit.runner.state import Notes, RunState, notes_in
from porelay_kit.store.base import Store
from porelay_schemas import relay
from porelay_schemas.manifest import Failure, Manifest, Run
from porelay_schemas.messages import AnyResult
from porelay_schemas.plan import Plan

ANSWER_S = 1.5
"""How long workers have to say what they hold."""

State = Literal["done", "running", "waiting", "failed", "cancelled"]


class Spot(NamedTuple):
    """A stage of a run."""

    run_id: str
    stage: str


def spot_of(body: bytes) -> Spot | None:
    """Return which stage of which run a message is about, None where it does not say."""
    try:
        document = json.loads(body)
        return Spot(str(document["run_id"]), str(document["stage"]))
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Marks:
    """What the names of a run's objects tell before any of them is read."""

    notes: Notes
    reported: bool


def marks(store: Store) -> dict[str, Marks]:
    """Return the marks of all runs, from one listing."""
    names: dict[str, set[str]] = {}
    for key in store.list("runs"):
        run_id, _, name = key.removeprefix("runs/").partition("/")
        names.setdefault(run_id, set()).add(name)
    runs = {run_id: found for run_id, found in sorted(names.items()) if "run.json" in found}
    return {run_id: Marks(notes_in(found), "report.html" in found) for run_id, found in runs.items()}


class Roll:
    """Who holds what, as the workers say when they are asked."""

    def __init__(self, broker: Broker) -> None:
        self.held: set[Spot] = set()
        self.workers: set[str] = set()
        self._broker = broker
        broker.subscribe("worker.", self._hear)

    def call(self) -> None:
        """Ask all workers, and give them time to answer."""
        self._broker.emit("control.all", json.dumps({"ask": "holding"}).encode())
        time.sleep(ANSWER_S)

    def _hear(self, key: str, body: bytes) -> None:
        if not key.endswith(".holding"):
            return
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self.held |= {Spot(one["run_id"], one["stage"]) for one in json.loads(body)["holding"]}
            self.workers.add(key.removeprefix("worker.").removesuffix(".holding"))


@dataclass(frozen=True)
class StageHistory:
    """One stage of a run: `text` is why it failed or what it waits for, `again` whether what failed comes again.

    `attempt` is how often it was tried, `next_try` when it is tried again at the earliest.
    """

    stage: str
    state: State
    methods: tuple[str, ...] = ()
    started: datetime | None = None
    seconds: float | None = None
    host: str = ""
    text: str = ""
    again: bool | None = None
    attempt: int | None = None
    next_try: datetime | None = None

    @property
    def document(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "state": self.state,
            "methods": list(self.methods),
            "started": self.started.isoformat() if self.started else None,
            "seconds": self.seconds,
            "host": self.host or None,
            "text": self.text or None,
            "comes_again": self.again,
            "attempt": self.attempt,
            "next_try": self.next_try.isoformat() if self.next_try else None,
        }


@dataclass(frozen=True)
class RunHistory:
    """A run and its stages in the order of the route."""

    run: Run
    plan: Plan
    state: State
    stages: tuple[StageHistory, ...]
    results: Mapping[str, AnyResult] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)


def history(state: RunState, held: Collection[Spot] = (), *, times: bool = True) -> RunHistory:
    """Read a run; `held` are the stages that workers have in hand. Without `times` no manifest is read.

    Raises BadInput where there is no such run.
    """
    run, plan, notes = state.run(), state.plan(), state.notes()
    results = {stage: state.result(stage) for stage in relay.in_order(list(notes.done))}
    failures, put_off = state.failures(), state.waiting()
    busy = {spot.stage for spot in held if spot.run_id == state.run_id}
    stages = []
    for name in relay.in_order(list(plan.stages)):
        stage = StageHistory(name, "waiting", tuple(call.method for call in plan.stages[name].use))
        if name in results:
            stage = replace(stage, state="done", seconds=results[name].seconds)
            stages.append(_timed(stage, state.store, run, results[name]) if times else stage)
        elif name in busy:
            stages.append(replace(stage, state="running"))
        elif name in failures:
            stages.append(replace(stage, state="failed", again=False, **_why(failures[name])))
        elif name in put_off:
            stages.append(replace(stage, again=True, **_why(put_off[name])))
        else:
            text = _wanted(name, plan, notes.done)
            stages.append(replace(stage, state="cancelled" if notes.cancelled else "waiting", text=text))
    return RunHistory(run, plan, whole(plan, notes, busy), tuple(stages), results, failures)


def whole(plan: Plan, notes: Notes, busy: Collection[str] = ()) -> State:
    """Return the state of a run as a whole; `waiting` where something can still be done and nobody is known to."""
    if set(plan.stages) <= notes.done:
        return "done"
    if busy:
        return "running"
    if notes.cancelled:
        return "cancelled"
    return "failed" if notes.ended(plan) else "waiting"


def _why(failure: Failure) -> dict[str, Any]:
    text = f"{failure.error}: {failure.text}"
    return {"started": failure.at, "text": text, "attempt": failure.attempt, "next_try": failure.next_try}


def _wanted(stage: str, plan: Plan, done: Collection[str]) -> str:
    feeders = [feeder for feeder in plan.feeders(stage) if feeder not in done]
    return f"for {', '.join(feeders)}" if feeders else "for a worker"


def _timed(stage: StageHistory, store: Store, run: Run, result: AnyResult) -> StageHistory:
    try:
        manifest = Manifest.model_validate_json(store.read(f"{result.artifact.prefix}/manifest.json"))
    except (KeyError, ValidationError):
        return replace(stage, text="its artifact is damaged or gone")
    methods = tuple(used.method for used in manifest.use)
    text = "found done" if manifest.started < run.created else ""
    host = str(manifest.host.get("name", ""))
    return replace(stage, methods=methods, started=manifest.started, seconds=manifest.seconds, host=host, text=text)
