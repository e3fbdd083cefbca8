"""The embedded runner: all stages of a run in this process, one after the other, with no server."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from porelay_kit import report
from porelay_kit.bench import Control, Progress, silent
from porelay_kit.runner.state import RunState
from porelay_kit.runner.step import step
from porelay_kit.settings import Settings
from porelay_schemas import relay
from porelay_schemas.errors import PorelayError, Retryable, Stopped
from porelay_schemas.manifest import Failure
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import Plan

RETRY_S = (2.0, 8.0)


@dataclass(frozen=True)
class Watcher:
    """Who is told: before a stage, while it runs, after it, and why it was put off (stage, text)."""

    began: Callable[[AnyRequest], None] = lambda request: None
    progress: Callable[[Progress], None] = silent
    ended: Callable[[AnyResult | Failure], None] = lambda outcome: None
    put_off: Callable[[str, str], None] = lambda stage, text: None


@dataclass
class Outcome:
    """How a run ended: results and failures by stage, and where the report is in the store."""

    results: dict[str, AnyResult] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    report: str = ""


def run(state: RunState, settings: Settings, watcher: Watcher = Watcher()) -> Outcome:
    """Run every stage that has no result yet and write the report, also where a stage failed.

    A stage that fails stops what depends on it, nothing else. Raises Stopped where the run is cancelled.
    """
    plan, outcome = state.plan(), Outcome()
    control = Control(watcher.progress, state.cancelled, state.finish_training)
    while stages := _open(plan, outcome):
        request = relay.request_for(stages[0], state.run(), plan, outcome.results)
        state.asked(request)
        watcher.began(request)
        try:
            result = _with_patience(request, state, settings, control)
        except Stopped:
            raise
        except Exception as error:
            outcome.failures[request.stage] = state.failed(request.stage, error)
            watcher.ended(outcome.failures[request.stage])
        else:
            state.done(result)
            outcome.results[request.stage] = result
            watcher.ended(result)
    outcome.report = write_report(state)
    return outcome


def _open(plan: Plan, outcome: Outcome) -> list[str]:
    return [name for name in relay.ready(plan, outcome.results) if name not in outcome.failures]


def _with_patience(request: AnyRequest, state: RunState, settings: Settings, control: Control) -> AnyResult:
    for pause in RETRY_S:
        try:
            return step(request, state.store, settings, control)
        except Retryable:
            time.sleep(pause)
    return step(request, state.store, settings, control)


def write_report(state: RunState) -> str:
    """Write the report of what there is so far; return its key."""
    key = f"{state.prefix}/report.html"
    page = report.build(state.store, state.run_id)
    state.store.write(key, page.encode() if isinstance(page, str) else page)
    return key


__all__ = ["Outcome", "PorelayError", "Watcher", "run", "write_report"]
