"""Bytes on their way, as a person sees them: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

LINE_S = 10.0

Count = Callable[[int], None]
"""Is told of so many more bytes, from any thread."""


@contextmanager
def shown(verb: str, total_bytes: int, *, quiet: bool) -> Iterator[Count]:
    """Show how many bytes of how many were read or sent, and how fast, while the block runs."""
    if quiet:
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(verb, total_bytes) as count:
            yield count
    else:
        lines = Lines(verb, total_bytes)
        yield lines.count
        lines.end()


@contextmanager
def _bar(verb: str, total_bytes: int) -> Iterator[Count]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description:<17}"), BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task(verb, total=total_bytes)
        yield lambda count: bar.advance(task, count)


class Lines:
    """A line at most every ten seconds, and one at the end; none where nothing was to be done."""

    def __init__(self, verb: str, total_bytes: int, *, every_s: float = LINE_S) -> None:
        self._verb, self._total, self._every_s = verb, total_bytes, every_s
        self._bytes, self._began = 0, time.monotonic()
        self._told = self._began
        self._lock = threading.Lock()

    def count(self, count: int) -> None:
        """Count bytes, and say so when it is time."""
        with self._lock:
            self._bytes += count
            if time.monotonic() - self._told > self._every_s:
                self._told = time.monotonic()
                share = 100 * self._bytes / self._total if self._total else 100
                self._say(f"{share:3.0f} %  {self._bytes / 1e6:,.1f} of {self._total / 1e6:,.1f} MB")

    def end(self) -> None:
        """Say what came of it."""
        if self._bytes:
            self._say(f"done   {self._bytes / 1e6:,.1f} MB")

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        rate = self._bytes / 1e6 / max(seconds, 1e-3)
        click.echo(f"{self._verb:<17} {text}  {seconds:6.1f} s  {rate:,.1f} MB/s", err=True)
