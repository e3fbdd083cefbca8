"""What is missing in the broker, found from the store, and asked for again.

The store alone tells what is ready and has no result. Left out is what is on its way already: it waits or is put off
in the broker, a worker holds it (or what feeds it), or it lies in the dead letters. A message that moves while one
looks goes from a worker to a queue, to a worker, to the store; one looks in that order, and so sees it once at least.
What should be asked for twice all the same is absorbed by its content key.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from pydantic import ValidationError

from porelay_kit.broker.base import Broker, Unroutable
from porelay_kit.runner.history import Marks, Roll, Spot, State, marks, spot_of, whole
from porelay_kit.runner.plans import Plans
from porelay_kit.runner.state import REQUEST, RunState
from porelay_kit.store.base import Store
from porelay_schemas import relay
from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.messages import AnyRequest
from porelay_schemas.plan import Plan
from porelay_schemas.route import STAGES

READERS = 16
"""Runs that are read at once: a bucket's answer takes milliseconds each."""


@dataclass
class Account:
    """What was found: stages that were asked for, runs whose report was written, and what was left out and why."""

    asked: list[Spot] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    queued: list[Spot] = field(default_factory=list)
    held: list[Spot] = field(default_factory=list)
    parked: list[Spot] = field(default_factory=list)
    failed: list[Spot] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)


def reconcile(
    store: Store,
    broker: Broker,
    run_ids: Iterable[str] = (),
    *,
    dry_run: bool = False,
    parked_too: bool = False,
    roll: Roll | None = None,
) -> Account:
    """Ask for exactly what is missing of these runs, or of all; write the reports that finished runs lack.

    Who calls it often gives a `roll` of its own, since each listens for as long as the broker is open. Raises BadInput
    where there is no such run, or where the broker has no queue for a stage.
    """
    account, plans, chosen = Account(), Plans(store), _chosen(store, tuple(run_ids))
    with ThreadPoolExecutor(READERS) as pool:
        missing = pool.map(lambda one: list(_missing(one[0], one[1], plans, account)), chosen)
        wanted = [(state, request) for (state, _), found in zip(chosen, missing, strict=True) for request in found]
    for ended in (account.reports, account.done, account.cancelled, account.elsewhere):
        ended.sort()
    if not dry_run:
        _write_reports(store, account.reports)
    if wanted:
        spots = {Spot(state.run_id, request.stage) for state, request in wanted}
        left = _left_out(broker, spots, roll or Roll(broker))
        for state, request in wanted:
            if _is_open(state, request, plans, left, account, parked_too=parked_too):
                account.asked.append(Spot(state.run_id, request.stage))
                if not dry_run:
                    ask(state, broker, request)
    return account


def take_up(state: RunState, broker: Broker, *, roll: Roll | None = None) -> list[str]:
    """Let a stopped or failed run go on: forget both, and ask for what is ready; return those stages."""
    state.resume()
    for stage in state.failures():
        state.forget_failure(stage)
    account = reconcile(state.store, broker, [state.run_id], parked_too=True, roll=roll)
    return [spot.stage for spot in account.asked]


def ask(state: RunState, broker: Broker, request: AnyRequest) -> None:
    """Publish a request and note it in its run; raise BadInput where the broker has no such queue."""
    try:
        broker.publish(request.stage, request.model_dump_json().encode())
    except Unroutable as error:
        raise BadInput(
            f"broker: no queue takes messages for {request.stage!r}. Run `porelay topology apply`, then this again."
        ) from error
    state.asked(request)


def _chosen(store: Store, run_ids: tuple[str, ...]) -> list[tuple[RunState, Marks]]:
    known = marks(store)
    for run_id in run_ids:
        if run_id not in known:
            raise BadInput(f"run {run_id!r}: not in {store.url}. {nearest(run_id, known)}")
    return [(RunState(store, run_id), known[run_id]) for run_id in run_ids or known]


def _missing(state: RunState, run_marks: Marks, plans: Plans, account: Account) -> Iterator[AnyRequest]:
    """Yield what is ready and has neither result nor failure, as the store has it."""
    try:
        run = state.run()
        plan = plans[run.plan]
        _settle(state, run_marks, whole(plan, run_marks.notes), account)
        if run_marks.notes.cancelled:
            return
        results = state.results()
        for stage in relay.ready(plan, results):
            if stage in run_marks.notes.failed:
                account.failed.append(Spot(state.run_id, stage))
            elif stage == "ingest" and not _within_reach(run.stack.uri):
                account.elsewhere.append(state.run_id)
            else:
                yield _as_asked(state, relay.request_for(stage, run, plan, results))
    except (ValidationError, KeyError) as error:
        account.damaged[state.run_id] = str(error)


def _within_reach(uri: str) -> bool:
    """Return whether workers can have the stack: it lies in the store, or at a path that is there."""
    return not uri.startswith("file:") or Path(unquote(urlparse(uri).path)).exists()


def _as_asked(state: RunState, request: AnyRequest) -> AnyRequest:
    """Return the request with the methods with which it was asked last: an operator may have patched it."""
    try:
        before = REQUEST.validate_json(state.store.read(f"{state.prefix}/requests/{request.stage}.json"))
    except (KeyError, ValidationError):
        return request
    return request.model_copy(update={"use": before.use})


def _settle(state: RunState, run_marks: Marks, end: State, account: Account) -> None:
    """Note a run that has ended, and whether it lacks its report."""
    if end == "cancelled":
        account.cancelled.append(state.run_id)
    if end == "done":
        account.done.append(state.run_id)
    if end in ("done", "failed") and not run_marks.reported:
        account.reports.append(state.run_id)


def _write_reports(store: Store, run_ids: list[str]) -> None:
    from porelay_kit.runner.embedded import write_report

    for run_id in run_ids:
        write_report(RunState(store, run_id))


@dataclass(frozen=True)
class _LeftOut:
    queued: set[Spot]
    held: set[Spot]
    parked: set[Spot]


def _left_out(broker: Broker, wanted: set[Spot], roll: Roll) -> _LeftOut:
    stages = [stage for stage in STAGES if any(spot.stage == stage for spot in wanted)]
    roll.held.clear()
    roll.call()
    queued = {spot for stage in stages for body in broker.waiting(stage) if (spot := spot_of(body))}
    parked = {spot for stage in stages for letter in broker.dead_letters(stage) if (spot := spot_of(letter.body))}
    if wanted - queued - parked - roll.held:
        roll.call()
    return _LeftOut(queued, set(roll.held), parked)


def _is_open(
    state: RunState, request: AnyRequest, plans: Plans, left: _LeftOut, account: Account, *, parked_too: bool
) -> bool:
    spot = Spot(state.run_id, request.stage)
    if spot in left.queued:
        account.queued.append(spot)
    elif _in_hand(spot, plans[request.plan], left.held):
        account.held.append(spot)
    elif spot in left.parked and not parked_too:
        account.parked.append(spot)
    else:
        return not state.store.exists(f"{state.prefix}/results/{request.stage}.json")
    return False


def _in_hand(spot: Spot, plan: Plan, held: set[Spot]) -> bool:
    """Return whether a worker holds it, or what feeds it: then it is about to be asked for."""
    return any(Spot(spot.run_id, stage) in held for stage in (spot.stage, *plan.feeders(spot.stage)))
