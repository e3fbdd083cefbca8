"""The worker: takes requests off the bus, runs `step`, and asks for what follows.

The order is store, publish, acknowledge: a worker may die anywhere and nothing is lost. A request that comes twice
finds its key committed and only announces again. What is noted in the run beyond results (why a stage waits or has
failed, what was asked) serves those who look; nothing depends on it.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Literal, Protocol

from pydantic import ValidationError

from porelay_kit.bench import Control, Progress, too_long
from porelay_kit.broker.base import MAX_BODY_BYTES, Broker, Delivery, delay_of
from porelay_kit.runner.asking import follow
from porelay_kit.runner.embedded import write_report
from porelay_kit.runner.plans import Plans
from porelay_kit.runner.presence import Held, Presence
from porelay_kit.runner.signals import Throttled
from porelay_kit.runner.state import REQUEST, Notes, RunState
from porelay_kit.runner.step import step
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadMessage, BrokerUnavailable, Permanent, SliceOver, Stopped, TookTooLong, waits
from porelay_schemas.manifest import Run
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import Plan
from porelay_schemas.route import isolated

POLL_S = 0.5
LOOK_S = 2.0
TELL_S = 1.0

Note = Callable[[RunState, str, Exception], object]
"""Writes an error of a stage into a run."""

Outcome = Literal["ok", "skipped", "sliced", "cancelled", "retried", "dead", "lost"]
"""How a delivery ended. `skipped`: its result was there already. `lost`: it could not be settled and comes again."""


class Do(Protocol):
    """What computes a request: `step`, or something around it."""

    def __call__(self, request: AnyRequest, store: Store, settings: Settings, control: Control) -> AnyResult:
        """Return the result of a request; raise as `step` does."""


class Observer:
    """Is told what a worker does; this one does not listen."""

    def began(self, delivery: Delivery) -> None:
        """Hear that a delivery was taken."""

    def progress(self, progress: Progress) -> None:
        """Hear how far the stage is."""

    def ended(self, delivery: Delivery, outcome: Outcome, seconds: float, detail: object) -> None:
        """Hear how a delivery ended; `detail` is the result, or the error."""

    def run_ended(self, run: Run, notes: Notes) -> None:
        """Hear that nothing of a run is left to do; of two stages that end at once both may say so."""


class Worker:
    """One worker for some stages; it does one delivery at a time."""

    def __init__(
        self,
        stages: tuple[str, ...],
        broker: Broker,
        store: Store,
        settings: Settings,
        *,
        do: Do = step,
        observer: Observer | None = None,
    ) -> None:
        self._stages, self._broker, self._store, self._settings = stages, broker, store, settings
        self._do, self._observer = do, observer or Observer()
        self._plans = Plans(store)
        self._leaving: Callable[[], bool] = lambda: False
        self._asked_to_stop: Throttled | None = None
        self._held: Held | None = None
        self._in_hand: tuple[Delivery, float] | None = None

    def held(self) -> Held | None:
        """Return what it has in hand."""
        return self._held

    def work(self, until: Callable[[], bool]) -> None:
        """Serve until told to end; what is in hand then is finished, but a training saves and hands over."""
        self._leaving = until
        with Presence(self._stages, self._broker, self.held, self.look):
            while not until():
                delivery = self._broker.get(self._stages, POLL_S)
                if delivery is not None:
                    self.handle(delivery)

    def give_up(self, patience_s: float) -> bool:
        """Park what is held where its stage did not end at its limit, as it does when it tells how far it is.

        For another thread: the worker's own is inside some library then, and cannot be had back.
        """
        limit_s = self._settings.stage_limit_s
        delivery, began = self._in_hand or (None, 0.0)
        if delivery is None or isolated(delivery.stage) or time.monotonic() - began <= limit_s + patience_s:
            return False
        error = TookTooLong(too_long(delivery.stage, limit_s, "PORELAY_STAGE_LIMIT_S"))
        try:
            self._settled(delivery, "dead", error)
        except KeyError:  # it ended after all, or its connection was lost
            return False
        return True

    def look(self, run_id: str) -> None:
        """Look in the store, before it would be time, what the user has asked of a run."""
        if self._asked_to_stop is not None and self._held is not None and self._held.run_id == run_id:
            self._asked_to_stop.at_once()

    def handle(self, delivery: Delivery) -> Outcome:
        """Do one delivery and settle it; one that cannot be settled, its connection being lost, comes again."""
        began = time.monotonic()
        self._held = Held(delivery.stage, None, datetime.now(UTC))
        self._in_hand = delivery, began
        self._observer.began(delivery)
        outcome, detail = self._outcome(delivery)
        try:
            outcome = self._settled(delivery, outcome, detail)
        except (KeyError, BrokerUnavailable):
            outcome = "lost"
        finally:
            self._held = self._in_hand = None
        self._observer.ended(delivery, outcome, time.monotonic() - began, detail)
        return outcome

    def _outcome(self, delivery: Delivery) -> tuple[Outcome, AnyResult | Exception]:
        try:
            return self._relay(request_of(delivery))
        except Stopped as error:
            return "cancelled", error
        except SliceOver as error:
            return "sliced", error
        except Permanent as error:
            return ("retried" if waits(error) else "dead"), error
        except Exception as error:
            return "retried", error

    def _relay(self, request: AnyRequest) -> tuple[Outcome, AnyResult]:
        """Compute a request and ask for what follows; say whether anything was computed."""
        self._held = Held(request.stage, request.run_id, datetime.now(UTC))
        state = RunState(self._store, request.run_id)
        run, plan = self._plan(state)
        self._asked_to_stop = Throttled(state.cancelled, LOOK_S)
        if self._asked_to_stop():
            raise Stopped(f"run {request.run_id!r} was cancelled")
        computed = False

        def began() -> None:
            nonlocal computed
            computed = True
            self._tell(request.run_id, request.stage, "began", "")

        control = Control(
            listen=self._listener(request),
            cancelled=self._asked_to_stop,
            finish=Throttled(state.finish_training, LOOK_S),
            slice_s=self._settings.slice_s,
            limit_s=self._settings.stage_limit_s,
            leaving=self._leaving,
            computing=began,
        )
        result = self._do(request, self._store, self._settings, control)
        notes = follow(state, self._broker, run, plan, result, fresh=computed)
        if notes.ended(plan):
            self._observer.run_ended(run, notes)
        self._tell(request.run_id, request.stage, "done", result.model_dump_json())
        return "ok" if computed else "skipped", result

    def _plan(self, state: RunState) -> tuple[Run, Plan]:
        """Return a run and its plan, which many share; raise BadInput where there is no such run."""
        run = state.run()
        return run, self._plans[run.plan]

    def _listener(self, request: AnyRequest) -> Callable[[Progress], None]:
        told = -TELL_S

        def listen(progress: Progress) -> None:
            nonlocal told
            self._observer.progress(progress)
            if progress.seconds - told >= TELL_S or progress.done >= progress.total:
                told = progress.seconds
                body = {"done": progress.done, "total": progress.total, "seconds": progress.seconds, **progress.figures}
                self._tell(request.run_id, request.stage, "progress", json.dumps(body))

        return listen

    def _settled(self, delivery: Delivery, outcome: Outcome, detail: object) -> Outcome:
        """Do with the message what its outcome asks for; a defect that has failed too often is dead."""
        if isinstance(detail, SliceOver):
            self._broker.again(delivery)
            self._tell_of(delivery, "sliced", detail)
        elif outcome in ("ok", "skipped", "cancelled"):
            self._broker.ack(delivery)
            if isinstance(detail, Stopped):
                self._tell_of(delivery, "stopped", detail)
        elif isinstance(detail, Exception):
            if outcome == "retried":
                self._note(delivery, detail, self._put_off(delivery, detail))
                if self._broker.retry(delivery, detail):
                    self._tell_of(delivery, "waiting", detail)
                    return "retried"
                self._note(delivery, detail, RunState.failed)
            else:
                self._note(delivery, detail, RunState.failed)
                self._broker.park(delivery, detail)
            self._tell_of(delivery, "failed", detail)
            return "dead"
        return outcome

    def _put_off(self, delivery: Delivery, error: Exception) -> Note:
        within_s = delay_of(self._broker.retry_ladder_s, delivery.attempt, error)
        return partial(RunState.put_off, attempt=delivery.attempt, within_s=within_s)

    def _note(self, delivery: Delivery, error: Exception, how: Note) -> None:
        """Write an error into the run where there is one; whatever goes wrong then, the message keeps the error."""
        with suppress(Exception):
            state = RunState(self._store, request_of(delivery).run_id)
            run, plan = self._plan(state)
            how(state, delivery.stage, error)
            notes = state.notes()
            if notes.ended(plan):
                write_report(state)
                self._observer.run_ended(run, notes)

    def _tell_of(self, delivery: Delivery, kind: str, error: Exception) -> None:
        if self._held is not None and self._held.run_id is not None:
            self._tell(self._held.run_id, delivery.stage, kind, str(error))

    def _tell(self, run_id: str, stage: str, kind: str, text: str) -> None:
        with suppress(BrokerUnavailable):
            self._broker.emit(f"run.{run_id}.{stage}.{kind}", text.encode())


def request_of(delivery: Delivery) -> AnyRequest:
    """Return the request that a delivery carries; raise BadMessage where it carries none that we understand."""
    where = f"message for {delivery.stage!r}"
    if len(delivery.body) > MAX_BODY_BYTES:
        raise BadMessage(f"{where} has {len(delivery.body)} bytes, wanted at most {MAX_BODY_BYTES}. Point at data.")
    try:
        request = REQUEST.validate_json(delivery.body)
    except ValidationError as error:
        raise BadMessage(f"{where} is no request of this version: {error}") from error
    if request.stage != delivery.stage:
        raise BadMessage(f"{where} asks for {request.stage!r}: it lies on the wrong queue.")
    return request
