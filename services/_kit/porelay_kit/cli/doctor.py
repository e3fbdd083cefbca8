"""`porelay doctor`: do the broker and the store behave as we rely on, and what to do where they do not."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from porelay_kit.cli import FAILED, UNREACHABLE, json_option, print_json
from porelay_kit.cli.servers import home_option
from porelay_kit.doctor.finding import Finding, unknown
from porelay_kit.settings import Settings

MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "bold red"), "unknown": ("?", "cyan")}
PLAIN_WIDTH = 110


@click.command()
@home_option
@json_option
def doctor(home: Path | None, as_json: bool) -> None:
    """Probe the broker and the store, and say what to do.

    Leaves nothing behind and touches no work. Exit code 0: all is well or can be lived with; 1: something fails;
    3: a server is unreachable.
    """
    settings = Settings.from_env(home=home)
    findings = [finding for check in _checks(settings, in_folder=home is not None) for finding in check(settings)]
    if as_json:
        print_json([_document(finding) for finding in findings])
    else:
        print_findings(findings)
    sys.exit(_code(findings))


Check = Callable[[Settings], list[Finding]]


def _checks(settings: Settings, *, in_folder: bool) -> list[Check]:
    return [*_of_broker(settings), _of_store(settings, in_folder=in_folder)]


def _of_broker(settings: Settings) -> list[Check]:
    if settings.amqp_url is None:
        seen = "PORELAY_AMQP_URL is not set; `porelay run` on one machine needs no broker"
        return [lambda settings: [Finding("broker", "address", unknown(seen))]]
    from porelay_kit.doctor import broker, nodes

    return [broker.check, nodes.check]


def _of_store(settings: Settings, *, in_folder: bool) -> Check:
    if settings.s3_url and not in_folder:
        from porelay_kit.doctor import bucket

        return bucket.check
    from porelay_kit.doctor import folder

    return lambda settings: folder.check(settings.home)


def _document(finding: Finding) -> dict[str, object]:
    return {"subject": finding.subject, "probe": finding.probe, **asdict(finding.answer)}


def _code(findings: list[Finding]) -> int:
    if any(finding.answer.unreachable for finding in findings):
        return UNREACHABLE
    return FAILED if any(finding.answer.verdict == "fail" for finding in findings) else 0


def print_findings(findings: list[Finding]) -> None:
    """Print a table a subject, and a last line that counts."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    width = max(len(finding.probe) for finding in findings)
    for subject, group in groupby(findings, key=lambda finding: finding.subject):
        console.print(Text(subject, style="bold"))
        console.print(_table(list(group), width))
        console.print()
    console.print(_summary(findings))


def _table(findings: list[Finding], width: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=4)
    table.add_column(min_width=width, no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        word, style = MARKS[finding.answer.verdict]
        table.add_row(Text(word, style=style), finding.probe, _said(finding, style))
    return table


def _said(finding: Finding, style: str) -> Text:
    seen = Text(finding.answer.seen)
    if finding.answer.advice:
        seen.append(f"\n-> {finding.answer.advice}", style=style)
    return seen


def _summary(findings: list[Finding]) -> Text:
    counts = {verdict: sum(finding.answer.verdict == verdict for finding in findings) for verdict in MARKS}
    words = {"ok": "as wanted", "warn": "to be lived with", "fail": "FAILED", "unknown": "not to be seen from here"}
    text = Text(f"{len(findings)} probes: ")
    text.append(", ".join(f"{count} {words[verdict]}" for verdict, count in counts.items() if count))
    return text
