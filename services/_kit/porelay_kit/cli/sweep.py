"""`porelay sweep`: what killed workers left half done is deleted."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.ages import age
from porelay_kit.cli.servers import home_option, store_at
from porelay_kit.doctor.space import size
from porelay_kit.settings import Settings
from porelay_kit.store.base import Garbage
from porelay_schemas.errors import BadInput

SLACK_S = 600.0
"""What a stage has, beyond its limit, to be ended."""


@click.command()
@click.option("--older-than", callback=age, default="1d", show_default=True, metavar="AGE", help="Untouched so long.")
@click.option("--dry-run", is_flag=True, help="Tell what would be deleted, and delete nothing.")
@home_option
@json_option
def sweep(older_than: timedelta, dry_run: bool, home: Path | None, as_json: bool) -> None:
    """Delete what killed workers left half done.

    That is, in a bucket, attempts at artifacts that were never committed and uploads that were never completed; in a
    folder, what lies in `staging/` and half-written files. Nothing that is committed is ever deleted, nor anything in
    the inbox. Safe at any time, and twice, as long as AGE is more than the longest stage of any worker takes.
    """
    _check(older_than.total_seconds(), Settings.from_env())
    found = store_at(home).sweep(older_than.total_seconds(), dry_run=dry_run)
    if as_json:
        print_json(_document(found, dry_run=dry_run))
        return
    for one in found:
        click.echo(f"{one.key}  {one.kind}, {size(one.size_bytes)}, last touched {one.modified:%Y-%m-%d %H:%M} UTC")
    verb, total = "would free" if dry_run else "freed", size(sum(one.size_bytes for one in found))
    click.echo(f"{verb} {total}: {_counted(found) or 'nothing is left half done'}")


def _check(older_than_s: float, settings: Settings) -> None:
    """Raise BadInput where a stage may be under way for as long."""
    longest_s = max(settings.stage_limit_s, settings.isolated_limit_s) + SLACK_S
    if older_than_s < longest_s:
        raise BadInput(
            f"--older-than is {older_than_s:g} s, wanted at least {longest_s:g} s: a stage may work so long without "
            "touching what it has begun. Give more; or, where all workers have lower PORELAY_STAGE_LIMIT_S and "
            "PORELAY_ISOLATED_LIMIT_S, set those here, too."
        )


def _document(found: Sequence[Garbage], *, dry_run: bool) -> dict[str, object]:
    parts = [vars(one) | {"modified": one.modified.isoformat()} for one in found]
    return {"dry_run": dry_run, "size_bytes": sum(one.size_bytes for one in found), "garbage": parts}


def _counted(found: Sequence[Garbage]) -> str:
    kinds = [one.kind for one in found]
    return ", ".join(f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in sorted(set(kinds)))
