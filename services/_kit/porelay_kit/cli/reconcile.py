"""`porelay reconcile`: what the store has and the broker lost is asked for again."""

from collections.abc import Sized
from pathlib import Path

import click

from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.servers import broker_of, home_option, known_runs, store_at
from porelay_kit.runner.history import Spot
from porelay_kit.runner.reconcile import Account
from porelay_kit.runner.reconcile import reconcile as reconcile_runs


@click.command()
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=known_runs)
@click.option("--dry-run", is_flag=True, help="Tell what would be asked for, and ask for nothing.")
@home_option
@json_option
def reconcile(runs: tuple[str, ...], dry_run: bool, home: Path | None, as_json: bool) -> None:
    """Ask again for what the broker has lost.

    Every RUN is looked at, or all. The store alone tells what is ready and has no result. Left out is what waits in
    the broker, what a worker holds, what lies in the dead letters (`porelay dlq replay`), what has failed for good,
    and what was cancelled. Reports that finished runs lack are written. Safe at any time, and twice.
    """
    store = store_at(home)
    with broker_of() as broker:
        account = reconcile_runs(store, broker, runs, dry_run=dry_run)
    if as_json:
        print_json(_document(account, dry_run=dry_run))
    else:
        for line in _lines(account, dry_run=dry_run):
            click.echo(line)


def _document(account: Account, *, dry_run: bool) -> dict[str, object]:
    spots = {name: [spot._asdict() for spot in getattr(account, name)] for name in _SPOTS}
    names = ("reports", "cancelled", "elsewhere", "damaged", "done")
    return {"dry_run": dry_run} | spots | {name: getattr(account, name) for name in names}


_SPOTS = {
    "asked": "",
    "queued": "on its way, waits in the broker",
    "held": "on its way, a worker has it in hand",
    "parked": "lies in the dead letters: `porelay dlq replay`",
    "failed": "has failed: `porelay dlq replay`, or `porelay submit` the stack again",
}


def _lines(account: Account, *, dry_run: bool) -> list[str]:
    verb = "would ask for" if dry_run else "asked for"
    lines = [f"{spot.run_id}  {verb} {spot.stage}" for spot in account.asked]
    lines += [f"{run_id}  report {'is missing' if dry_run else 'written'}" for run_id in account.reports]
    for name, words in list(_SPOTS.items())[1:]:
        spots: list[Spot] = getattr(account, name)
        lines += [f"{spot.run_id}  {spot.stage} {words}" for spot in spots]
    lines += [f"{run_id}  cancelled: `porelay submit` the stack again" for run_id in account.cancelled]
    lines += [f"{run_id}  its stack lies on another machine: submit it from there" for run_id in account.elsewhere]
    lines += [f"{run_id}  damaged: {text}" for run_id, text in account.damaged.items()]
    counts = (_count(account.asked, "stage"), _count(account.reports, "missing report"), _count(account.done, "run"))
    return [*lines, "{} {}; {}; {} done".format(verb, *counts)]


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}" if len(things) == 1 else f"{len(things)} {word}s"
