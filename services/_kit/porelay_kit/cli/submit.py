"""`porelay submit`: a stack goes into the inbox, and workers run it."""

import time
from pathlib import Path

import click
from pydantic import ValidationError

from porelay_kit.broker.base import Broker
from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.recipe import Recipe, recipe_options
from porelay_kit.cli.servers import broker_if_any, home_option, store_at
from porelay_kit.cli.transfer import shown
from porelay_kit.cli.watch import POLL_S, watch_to_the_end
from porelay_kit.runner import drops
from porelay_kit.runner.history import history
from porelay_kit.runner.reconcile import take_up
from porelay_kit.runner.state import RunState
from porelay_kit.runner.uploads import Drop, drop_of, put, size_of
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadInput, Retryable
from porelay_schemas.intake import Intake, intake_key

SILENCE_S = 30.0
"""After how long without an intake the waiting user is told what may be missing."""


def _again(state: RunState, drop: Drop, broker: Broker | None) -> list[str]:
    """Let what was dropped before go on: a stopped or failed run, or a rejected drop; return the stages asked for."""
    if broker is not None and state.store.exists(f"{state.prefix}/run.json"):
        return take_up(state, broker)
    state.resume()
    state.store.delete(drop.key + drops.REJECTED)
    state.store.write(drop.key + drops.AGAIN, b"again\n")
    return []


@click.command()
@recipe_options
@click.option("--wait", is_flag=True, help="Show progress until the run has ended; then its table and exit code.")
@home_option
@json_option
def submit(
    recipe: Recipe,
    wait: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Put STACK into the inbox, where workers take it.

    STACK is a file or a folder of slices. The plan is checked first, as `porelay run` does, and lies beside it. Prints
    the name of the run. Submitted again with the same words it goes on where it was: a cancelled or failed run is taken
    up, a finished one is only told.
    """
    chosen, store = recipe.load(), _inbox_of(home)
    stack, truth, across = recipe.stack, recipe.truth, recipe.across
    size = size_of(stack, *([truth] if truth else []), *across.values())
    with shown("reading", size, quiet=as_json) as read:
        drop = drop_of(chosen, stack, truth, across, read=read)
    if not as_json:
        click.echo(f"{drop.stack.path} -> {store.url}/{drop.folder} ({size / 1e6:,.1f} MB)", err=True)
    with shown("uploading", size, quiet=as_json) as sent:
        drop, new = put(store, drop, sent)
    state = RunState(store, drop.run_id)
    with broker_if_any() as broker:
        ended = not new and store.exists(f"{state.prefix}/run.json") and history(state, times=False).state == "done"
        asked = [] if new or ended else _again(state, drop, broker)
        words = "dropped" if new else "done" if ended else "taken up again" if asked else "on its way"
        if as_json and not wait:
            print_json({"run_id": drop.run_id, "drop": drop.key, "state": words, "asked": asked})
        elif not as_json:
            click.echo(f"{drop.key}: {words}" + (f", asked for {', '.join(asked)}" if asked else ""), err=True)
            click.echo(drop.run_id)
        if wait:
            _wait_for_intake(state, drop, quiet=as_json)
            watch_to_the_end(state, broker, as_json=as_json)


def _inbox_of(home: Path | None) -> Store:
    """Return the store; raise BadInput where nothing was said of one: no worker looks into this folder."""
    if home is None and not {"home", "s3_url", "amqp_url"} & Settings.from_env().model_fields_set:
        raise BadInput(
            "submit: neither PORELAY_S3_URL nor PORELAY_HOME nor --home names the store of the workers. "
            "Set one, or use `porelay run`, which needs no worker."
        )
    return store_at(home)


def _wait_for_intake(state: RunState, drop: Drop, *, quiet: bool, poll_s: float = POLL_S / 4) -> None:
    """Wait until the intake has made a run of the drop; raise BadInput where it was rejected."""
    start, told = time.monotonic(), False
    while not _taken(state, drop):
        if not (told or quiet) and time.monotonic() - start > SILENCE_S:
            told = True
            click.echo("No intake has taken it yet. Is `porelay serve ingest` running, on this store?", err=True)
        time.sleep(poll_s)


def _taken(state: RunState, drop: Drop) -> bool:
    try:
        if state.store.exists(f"{state.prefix}/run.json"):
            return True
        if not state.store.exists(drop.key + drops.REJECTED):
            return False
        raise BadInput(f"drop {drop.key!r} was rejected: {_reason(state.store, drop)}")
    except Retryable:
        return False


def _reason(store: Store, drop: Drop) -> str:
    try:
        return Intake.model_validate_json(store.read(intake_key(drop.key))).text
    except (KeyError, ValidationError):
        return store.read(drop.key + drops.REJECTED).decode(errors="replace").strip()
