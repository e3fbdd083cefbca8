"""`porelay status`, `report` and `cancel`: what the store knows of runs."""

import json
import shutil
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.servers import (
    broker_if_any,
    home_option,
    known_runs,
    place,
    run_argument,
    store_at,
    without_broker,
)
from porelay_kit.runner.history import Roll, Spot, StageHistory, history, marks, whole
from porelay_kit.runner.state import Notes, RunState
from porelay_kit.store.base import Store
from porelay_schemas.errors import BrokerUnavailable
from porelay_schemas.intake import PREFIX as INTAKE
from porelay_schemas.intake import Intake
from porelay_schemas.plan import Plan

READERS = 16
"""Small objects that are read at once: a bucket's answer takes milliseconds each."""


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=known_runs)
@home_option
@json_option
def status(run_id: str | None, home: Path | None, as_json: bool) -> None:
    """Tell how far RUN or all runs are.

    RUN is told stage by stage; of all runs a line each, and the drops that no run was made of. The store tells,
    also when the broker is dead. What runs at the moment the workers tell: without a broker, or from a worker that
    does not answer, it is shown as waiting.
    """
    store = store_at(home)
    if run_id:
        _one(RunState(store, run_id), as_json=as_json)
    else:
        _all(store, as_json=as_json)


def _one(state: RunState, *, as_json: bool) -> None:
    now = history(state)
    if now.state in ("waiting", "failed", "cancelled"):
        now = history(state, _held())
    if as_json:
        stages = {stage.stage: stage.document for stage in now.stages}
        print_json({"run_id": state.run_id, "plan": now.plan.name, "state": now.state, "stages": stages})
        return
    click.echo(f"{state.run_id}  {now.state}")
    for stage in now.stages:
        click.echo(_line(stage))


def _held() -> set[Spot]:
    """Return what workers say that they hold, nothing where there is no broker."""
    with broker_if_any() as broker:
        if broker is None:
            return set()
        try:
            roll = Roll(broker)
            roll.call()
        except BrokerUnavailable as error:
            without_broker(error)
            return set()
        return roll.held


def _line(stage: StageHistory) -> str:
    seconds = f"{stage.seconds:10,.1f} s" if stage.seconds is not None else " " * 12
    when = stage.started.astimezone().strftime("%Y-%m-%d %H:%M:%S") if stage.started else " " * 19
    text = f"on {stage.host}  {stage.text}".strip() if stage.host else stage.text
    if stage.again:
        text += f"  ({_again(stage)})"
    elif stage.again is not None:
        text += "  (`porelay dlq replay` or `porelay submit` sends it again)"
    return f"  {stage.stage:<17} {stage.state:<9} {when} {seconds}  {text}".rstrip()


def _again(stage: StageHistory) -> str:
    tried = f"attempt {stage.attempt}, " if stage.attempt else ""
    if stage.next_try is None:
        return f"{tried}comes again"
    if stage.next_try <= datetime.now(UTC):
        return f"{tried}comes again, waits for a worker"
    return f"{tried}comes again at {stage.next_try.astimezone():%H:%M:%S}"


def _all(store: Store, *, as_json: bool) -> None:
    found, untaken = marks(store), _untaken(store)
    with ThreadPoolExecutor(READERS) as pool:
        plans = dict(zip(found, pool.map(partial(_plan, store), found), strict=True))
    states = [whole(plan, found[run_id].notes) for run_id, plan in plans.items() if plan]
    held = set() if set(states) <= {"done"} else _held()
    summaries = {run_id: _summary(run_id, found[run_id].notes, plan, held) for run_id, plan in plans.items()}
    if as_json:
        print_json({"runs": summaries, "drops": [one.model_dump(mode="json") for one in untaken]})
        return
    for run_id, summary in summaries.items():
        click.echo(f"{run_id:<44} {summary['state']:<9} {_words(summary)}")
    for one in untaken:
        click.echo(f"{one.drop:<44} {one.state:<9} {one.text}")
    if not found:
        click.echo(f"no runs in {store.url}")


def _untaken(store: Store) -> list[Intake]:
    """Return the drops of which no run has come: what they wait for, or why they were rejected."""
    with ThreadPoolExecutor(READERS) as pool:
        found = [one for one in pool.map(partial(_intake, store), store.list(INTAKE)) if one is not None]
    return sorted((one for one in found if one.state in ("waiting", "rejected")), key=lambda one: one.drop)


def _intake(store: Store, key: str) -> Intake | None:
    try:
        return Intake.model_validate_json(store.read(key))
    except (KeyError, ValidationError):
        return None


def _plan(store: Store, run_id: str) -> Plan | None:
    try:
        return Plan.model_validate_json(store.read(f"runs/{run_id}/plan.json"))
    except (KeyError, ValueError):
        return None


def _summary(run_id: str, notes: Notes, plan: Plan | None, held: Collection[Spot]) -> dict[str, Any]:
    stages = list(plan.stages) if plan else []
    busy = [spot.stage for spot in held if spot.run_id == run_id]
    return {
        "state": whole(plan, notes, busy) if plan else "damaged",
        "done": [stage for stage in stages if stage in notes.done],
        "running": [stage for stage in stages if stage in busy],
        "failed": [stage for stage in stages if stage in notes.failed],
        "put_off": [stage for stage in stages if stage in notes.waiting and stage not in busy],
        "stages": len(stages),
    }


def _words(summary: dict[str, Any]) -> str:
    parts = [f"{len(summary['done'])}/{summary['stages']} stages"]
    words = {"running": "running", "failed": "failed", "put_off": "put off"}
    parts += [f"{word}: {', '.join(summary[name])}" for name, word in words.items() if summary[name]]
    return "  ".join(parts)


@click.command()
@run_argument
@home_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Copy the report to FILE.", metavar="FILE")
@json_option
def report(run_id: str, home: Path | None, out: Path | None, as_json: bool) -> None:
    """Write the report of RUN anew.

    Prints where it is, a path or an address in the bucket; with --out it is copied to a file of yours.
    """
    from porelay_kit.runner.embedded import write_report

    state = RunState(store_at(home), run_id)
    state.run()
    key = write_report(state)
    where = place(state.store, key)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(state.store.local(key), out)
    if as_json:
        print_json({"run_id": run_id, "report": where, "file": str(out) if out else None})
    else:
        click.echo(str(out or where))


@click.command()
@run_argument
@click.option("--only-training", is_flag=True, help="End training with what it has learned; the run goes on.")
@home_option
@json_option
def cancel(run_id: str, only_training: bool, home: Path | None, as_json: bool) -> None:
    """Stop RUN. Nothing is lost: started or submitted again, it continues.

    The wish lies in the store, where every worker looks; where there is a broker they are told at once, too.
    """
    state = RunState(store_at(home), run_id)
    state.cancel(only_training=only_training)
    with broker_if_any() as broker:
        if broker is not None:
            ask = "finish-training" if only_training else "cancel"
            try:
                broker.emit(f"control.run.{run_id}", json.dumps({"ask": ask}).encode())
            except BrokerUnavailable as error:
                without_broker(error)
    print_json({"run_id": run_id, "cancelled": True}) if as_json else click.echo(f"{run_id}: asked to stop")
