"""Asking for stages: the first of a run, and what follows a result."""

from porelay_kit.broker.base import Broker
from porelay_kit.runner.embedded import write_report
from porelay_kit.runner.state import Notes, RunState
from porelay_schemas import relay
from porelay_schemas.manifest import Run
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import Plan


def begin(state: RunState, broker: Broker) -> None:
    """Ask for the first stage of a run."""
    run = state.run()
    state.asked(_publish(broker, relay.request_for("ingest", run, state.plan_of(run), {})))


def follow(state: RunState, broker: Broker, run: Run, plan: Plan, result: AnyResult, *, fresh: bool) -> Notes:
    """Note a result and ask for every stage that it feeds and that is ready now; write the report of a run at its end.

    What only a `fresh` result feeds is asked for first: nobody else will, and the next worker need not wait for the
    note. Of two that end at once both may ask for the stage that joins them, or write the report: nothing comes of it.
    """
    alone = relay.fed_alone(plan, result.stage) if fresh else []
    asked = [_publish(broker, relay.request_for(name, run, plan, {result.stage: result})) for name in alone]
    notes = state.done(result)
    for name in relay.ready(plan, notes.done):
        feeders = plan.feeders(name)
        if result.stage in feeders and name not in alone:
            fed_by = {feeder: result if feeder == result.stage else state.result(feeder) for feeder in feeders}
            asked.append(_publish(broker, relay.request_for(name, run, plan, fed_by)))
    for request in asked:
        state.asked(request)
    if notes.ended(plan):
        write_report(state)
    return notes


def _publish(broker: Broker, request: AnyRequest) -> AnyRequest:
    broker.publish(request.stage, request.model_dump_json().encode())
    return request
