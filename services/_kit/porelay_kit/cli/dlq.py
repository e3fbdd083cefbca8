"""`porelay dlq`: what was parked, why, and what becomes of it. Looking destroys nothing."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from porelay_kit.broker.base import Broker, DeadLetter, Drop, Verdict
from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.ages import age
from porelay_kit.cli.servers import broker_of, home_option, known_runs, store_at
from porelay_kit.runner.letters import QUEUES, Filter, document, letters, patched, run_of, sift, take_back
from porelay_kit.runner.state import RunState
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadInput, PorelayError, nearest

SLOWEST = 0.1
"""Messages per second; slower, and the broker would take the connection for dead."""


def _rate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:/s)?", value.strip())
    if not match or float(match[1]) < SLOWEST:
        raise click.BadParameter(f"got {value!r}, wanted messages per second, at least {SLOWEST}/s, such as 5/s")
    return float(match[1])


def known_letters(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a dead letter."""
    try:
        with broker_of() as broker:
            return [letter.id for letter in letters(broker, Filter()) if letter.id.startswith(incomplete)]
    except PorelayError:
        return []


_FILTERS = (
    click.option("--stage", "stages", multiple=True, type=click.Choice(QUEUES), help="Only of this stage."),
    click.option("--run", "runs", multiple=True, shell_complete=known_runs, help="Only of this run."),
    click.option("--error", "errors", multiple=True, metavar="CLASS", help="Only this error; * stands for anything."),
    click.option("--id", "ids", multiple=True, shell_complete=known_letters, help="Only this letter."),
    click.option("--older-than", callback=age, metavar="AGE", help="Parked longer ago than this, such as 30min."),
    click.option("--newer-than", callback=age, metavar="AGE", help="Parked after that, such as 2h or 3d."),
)


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters; the command gets them as keyword arguments of `Filter`."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@click.group()
def dlq() -> None:
    """Look at dead letters, send them again, export or drop them.

    A dead letter is a message that could not succeed, or failed too often; it stays until it is replayed or dropped.
    """


@dlq.command("list")
@filter_options
@json_option
def list_(as_json: bool, **filters: Any) -> None:
    """List dead letters, a line each."""
    with broker_of() as broker:
        found = letters(broker, Filter(**filters))
    if as_json:
        print_json([document(letter) for letter in found])
        return
    for letter in found:
        when = letter.at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if letter.at else "-"
        text = letter.text.partition("\n")[0][:100]
        click.echo(f"{letter.id}  {letter.stage:<16} {run_of(letter) or '-'}  {when}  {letter.error}: {text}")
    click.echo(f"{len(found)} dead letters", err=True)


@dlq.command()
@click.argument("letter_id", metavar="ID", shell_complete=known_letters)
@home_option
@json_option
def show(letter_id: str, home: Path | None, as_json: bool) -> None:
    """Show one dead letter whole: its reason, the traceback where the store has it, and the message."""
    with broker_of() as broker:
        letter = _only(broker, letter_id)
    trace = _traceback(store_at(home), letter)
    if as_json:
        print_json(document(letter) | {"traceback": trace})
        return
    for name, value in document(letter).items():
        if name != "body":
            click.echo(f"{name:<9} {value}")
    if trace:
        click.echo(trace)
    click.echo(json.dumps(document(letter)["body"], indent=1))


def _only(broker: Broker, letter_id: str) -> DeadLetter:
    everything = {letter.id: letter for letter in letters(broker, Filter())}
    if letter_id not in everything:
        hint = nearest(letter_id, everything) if everything else "There are none."
        raise BadInput(f"dead letter {letter_id!r}: not there. {hint}")
    return everything[letter_id]


def _traceback(store: Store, letter: DeadLetter) -> str | None:
    run_id = run_of(letter)
    if run_id is None or not store.exists(f"runs/{run_id}/run.json"):
        return None
    failure = RunState(store, run_id).failures().get(letter.stage)
    return failure.traceback if failure else None


@dlq.command()
@filter_options
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@json_option
def export(folder: Path, as_json: bool, **filters: Any) -> None:
    """Write dead letters into DIR, a JSON file each; they stay where they are."""
    with broker_of() as broker:
        found = letters(broker, Filter(**filters))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{letter.stage}-{re.sub(r'[^A-Za-z0-9-]', '_', letter.id)}.json" for letter in found]
    for path, letter in zip(paths, found, strict=True):
        path.write_text(json.dumps(document(letter), indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json([str(path) for path in paths])
    else:
        click.echo(f"{len(paths)} dead letters written to {folder}")


@dlq.command()
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them; needed where no filter is given.")
@click.option("--dry-run", is_flag=True, help="Tell what would be sent, and send nothing.")
@click.option("--rate", callback=_rate, metavar="N/s", help="At most so many messages per second.")
@click.option("--set", "changes", multiple=True, metavar="STAGE.PARAM=VALUE", help="Change a parameter first.")
@home_option
@json_option
def replay(
    everything: bool,
    dry_run: bool,
    rate: float | None,
    changes: tuple[str, ...],
    home: Path | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send dead letters again, as first attempts; the run then waits for them instead of showing the failure.

    With --set the message asks with another parameter, which is checked first. The stage's result is then another
    artifact than the run's plan would give: its manifest and the report say with which parameters it was made, stages
    behind it work on, and `reconcile` keeps to it. The plan itself is not changed, nor are letters of other stages.
    """
    chosen, store = _filter(filters, everything=everything), store_at(home)
    with broker_of() as broker:
        found = letters(broker, chosen)
        bodies = {(letter.stage, letter.id): patched(letter, changes) for letter in found}

        def again(letter: DeadLetter) -> Verdict:
            body = bodies[letter.stage, letter.id]
            take_back(store, letter.stage, body)
            return body

        if not dry_run:
            sift(broker, found, again, rate=rate)
    _say("would be sent again" if dry_run else "sent again", found, as_json=as_json, dry_run=dry_run)
    _warn_of_cancelled(store, found)


@dlq.command()
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them; needed where no filter is given.")
@click.option("--dry-run", is_flag=True, help="Tell what would be dropped, and drop nothing.")
@click.option("--rate", callback=_rate, metavar="N/s", help="At most so many messages per second.")
@json_option
def drop(everything: bool, dry_run: bool, rate: float | None, as_json: bool, **filters: Any) -> None:
    """Destroy dead letters. Their runs keep the failure; what the store has stays."""
    chosen = _filter(filters, everything=everything)
    with broker_of() as broker:
        found = letters(broker, chosen)
        if not dry_run:
            sift(broker, found, lambda letter: Drop, rate=rate)
    _say("would be dropped" if dry_run else "dropped", found, as_json=as_json, dry_run=dry_run)


def _filter(filters: dict[str, Any], *, everything: bool) -> Filter:
    chosen = Filter(**filters)
    if chosen.empty and not everything:
        raise BadInput("dlq: no filter was given, wanted --stage, --run, --error, --id or an age. For all, say --all.")
    return chosen


def _say(words: str, found: list[DeadLetter], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "letters": [document(letter) for letter in found]})
        return
    for letter in found:
        click.echo(f"{letter.id}  {letter.stage:<16} {run_of(letter) or '-'}  {letter.error}")
    click.echo(f"{len(found)} dead letters {words}")


def _warn_of_cancelled(store: Store, found: Iterable[DeadLetter]) -> None:
    runs = sorted({run_id for letter in found if (run_id := run_of(letter))})
    for run_id in runs:
        if RunState(store, run_id).cancelled():
            click.echo(f"{run_id} is cancelled: workers will pass over it. Submit it again to take it up.", err=True)
