"""The worker: takes requests off the bus, runs `step`, and asks for what follows.

The order is store, publish, acknowledge: a worker may die anywhere and nothing is lost. A request that comes twice
finds its key committed and only announces again.
"""

import json
from collections.abc import Callable

from pydantic import ValidationError

from porelay_kit.bench import Control, Progress
from porelay_kit.broker.base import Broker, Delivery
from porelay_kit.runner.embedded import write_report
from porelay_kit.runner.state import REQUEST, RunState
from porelay_kit.runner.step import step
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store
from porelay_schemas import relay
from porelay_schemas.errors import BadMessage, Permanent, Stopped
from porelay_schemas.messages import AnyRequest

POLL_S = 0.5


class Worker:
    """One worker for some stages."""

    def __init__(self, stages: tuple[str, ...], broker: Broker, store: Store, settings: Settings) -> None:
        self._stages, self._broker, self._store, self._settings = stages, broker, store, settings

    def work(self, until: Callable[[], bool]) -> None:
        """Serve until told to end; a delivery in hand is finished first."""
        while not until():
            delivery = self._broker.get(self._stages, POLL_S)
            if delivery is not None:
                self.handle(delivery)

    def handle(self, delivery: Delivery) -> None:
        """Do one delivery and settle it."""
        try:
            self._relay(_request(delivery))
        except Stopped:
            self._broker.ack(delivery)
        except Permanent as error:
            self._note(delivery, error)
            self._broker.park(delivery, error)
        except Exception as error:
            if not self._broker.retry(delivery, error):
                self._note(delivery, error)
        else:
            self._broker.ack(delivery)

    def _relay(self, request: AnyRequest) -> None:
        state = RunState(self._store, request.run_id)
        control = Control(self._progress(request), state.cancelled, state.finish_training)
        if state.cancelled():
            raise Stopped(f"run {request.run_id!r} was cancelled")
        result = step(request, self._store, self._settings, control)
        state.done(result)
        follow(state, self._broker, request.stage)
        self._broker.emit(f"run.{request.run_id}.{request.stage}.done", result.model_dump_json().encode())

    def _progress(self, request: AnyRequest) -> Callable[[Progress], None]:
        def listen(progress: Progress) -> None:
            body = json.dumps({"done": progress.done, "total": progress.total, **progress.figures})
            self._broker.emit(f"run.{request.run_id}.{request.stage}.progress", body.encode())

        return listen

    def _note(self, delivery: Delivery, error: Exception) -> None:
        """Write the failure into the run, where the message names one."""
        try:
            state = RunState(self._store, _request(delivery).run_id)
        except BadMessage:
            return
        state.failed(delivery.stage, error)
        write_report(state)
        self._broker.emit(f"run.{state.run_id}.{delivery.stage}.failed", str(error).encode())


def begin(state: RunState, broker: Broker) -> None:
    """Ask for the first stage of a run."""
    _ask(state, broker, "ingest")


def follow(state: RunState, broker: Broker, stage: str) -> None:
    """Ask for every stage that `stage` feeds and that is ready now; where all are done, write the report.

    Two that end at once may both ask for the stage that joins them: its key absorbs that.
    """
    plan, results = state.plan(), state.results()
    for name in relay.ready(plan, results):
        if stage in plan.feeders(name):
            _ask(state, broker, name)
    if len(results) == len(plan.stages):
        write_report(state)


def _ask(state: RunState, broker: Broker, stage: str) -> None:
    request = relay.request_for(stage, state.run(), state.plan(), state.results())
    state.asked(request)
    broker.publish(stage, request.model_dump_json().encode())


def _request(delivery: Delivery) -> AnyRequest:
    try:
        request = REQUEST.validate_json(delivery.body)
    except ValidationError as error:
        raise BadMessage(f"message for {delivery.stage!r} is no request of this version: {error}") from error
    if request.stage != delivery.stage:
        raise BadMessage(f"message for {delivery.stage!r} asks for {request.stage!r}: it lies on the wrong queue.")
    return request
