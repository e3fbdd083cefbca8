"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere, a table at the end."""

import sys
import time
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from porelay_kit.bench import Progress as Done
from porelay_kit.runner.embedded import Outcome, Watcher
from porelay_schemas.manifest import Failure
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import Plan

LINE_S = 10.0
LEAST_VOXELS = 8000
"""A stage whose total is less counts steps or jobs, not voxels."""


def describe(done: Done) -> str:
    """Return the figures of a progress: rate, and what the stage adds."""
    rate = done.done / done.seconds if done.seconds > 0 else 0.0
    parts = [f"{rate:,.1f} steps/s" if done.total < LEAST_VOXELS else f"{rate / 1e6:,.2f} Mvoxel/s"]
    return "  ".join(parts + [f"{name} {value:.3g}" for name, value in done.figures.items()])


def methods_of(request: AnyRequest) -> str:
    """Return the methods of a request, shortened."""
    names = [call.method for call in request.use]
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} +{len(names) - 3}"


class Terminal:
    """A live bar per stage."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<17}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._methods: dict[str, str] = {}

    def __enter__(self) -> Watcher:
        self._progress.start()
        return Watcher(self._began, self._moved, self._ended, self._put_off)

    def __exit__(self, *details: object) -> None:
        self._progress.stop()

    def _began(self, request: AnyRequest) -> None:
        self._methods[request.stage] = methods_of(request)
        self._tasks[request.stage] = self._progress.add_task(request.stage, total=1.0, note=methods_of(request))

    def _moved(self, done: Done) -> None:
        if done.stage in self._tasks:
            note = f"{self._methods[done.stage]}  {describe(done)}"
            self._progress.update(self._tasks[done.stage], completed=done.done, total=done.total, note=note)

    def _ended(self, outcome: AnyResult | Failure) -> None:
        if (task := self._tasks.pop(outcome.stage, None)) is not None:
            failed = isinstance(outcome, Failure)
            note = "[red]failed[/red]" if failed else self._methods[outcome.stage]
            self._progress.update(task, total=1.0, completed=0.0 if failed else 1.0, note=note)
            self._progress.stop_task(task)

    def _put_off(self, stage: str, text: str) -> None:
        self._console.print(f"{stage:<17} put off, comes again: {text}", markup=False, highlight=False)


@dataclass
class _Line:
    """A stage of which lines are printed."""

    methods: str = ""
    start: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    last: Done | None = None


class Lines:
    """Plain lines: one at most every ten seconds while a stage runs, one when it ends.

    `remote`: the stages run elsewhere, so how long they took is what their results say.
    """

    def __init__(self, *, write: bool = True, remote: bool = False) -> None:
        self._write, self._remote = write, remote
        self._lines: dict[str, _Line] = {}

    def __enter__(self) -> Watcher:
        return Watcher(self._began, self._moved, self._ended, self._put_off)

    def __exit__(self, *details: object) -> None:
        return None

    def _say(self, text: str) -> None:
        if self._write:
            click.echo(text, err=True)

    def _began(self, request: AnyRequest) -> None:
        self._lines[request.stage] = _Line(methods_of(request))

    def _moved(self, done: Done) -> None:
        line = self._lines.setdefault(done.stage, _Line())
        line.last = done
        if time.monotonic() - line.told > LINE_S:
            line.told = time.monotonic()
            share = 100 * done.done / done.total if done.total else 0.0
            self._say(f"{done.stage:<17} {share:3.0f} %  {done.seconds:6.1f} s  {line.methods}  {describe(done)}")

    def _ended(self, outcome: AnyResult | Failure) -> None:
        line = self._lines.pop(outcome.stage, None) or _Line()
        if isinstance(outcome, Failure):
            self._say(f"{outcome.stage:<17} FAILED  {outcome.text}")
            return
        took = outcome.seconds if self._remote else time.monotonic() - line.start
        found = "found done" if took < outcome.seconds / 2 else ""
        figures = describe(line.last) if line.last else found
        self._say(f"{outcome.stage:<17} done   {took:6.1f} s  {line.methods}  {figures}".rstrip())

    def _put_off(self, stage: str, text: str) -> None:
        self._say(f"{stage:<17} put off, comes again: {text}")


def watcher(*, quiet: bool, remote: bool = False) -> Terminal | Lines:
    """Return what fits the place the output goes to."""
    return Terminal() if sys.stderr.isatty() and not quiet else Lines(write=not quiet, remote=remote)


def print_table(plan: Plan, outcome: Outcome) -> None:
    """Print the table of stages and seconds."""
    table = Table(title=None)
    for name, justify in (("stage", "left"), ("state", "left"), ("seconds", "right"), ("methods", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for stage, part in plan.stages.items():
        names = ", ".join(call.method for call in part.use)
        if stage in outcome.results:
            table.add_row(stage, "done", f"{outcome.results[stage].seconds:.1f}", names)
        else:
            table.add_row(stage, "failed" if stage in outcome.failures else "not reached", "", names)
    Console(width=None if sys.stdout.isatty() else 110).print(table)
