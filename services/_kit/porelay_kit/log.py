"""What a service says: one line an event on the standard error, plain or as JSON."""

import json
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TextIO

from porelay_kit.bench import Progress
from porelay_kit.broker.base import Delivery
from porelay_kit.runner.worker import Observer, Outcome, request_of
from porelay_schemas.errors import BadMessage

PROGRESS_S = 30.0


class Log:
    """Writes lines; several threads may."""

    def __init__(self, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self._as_json, self._stream = as_json, stream or sys.stderr
        self._lock = threading.Lock()

    def say(self, event: str, **facts: object) -> None:
        """Write what happened; facts that are None are left out."""
        known = {name: value for name, value in facts.items() if value is not None}
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            line = json.dumps({"at": at, "event": event, **known}, default=str)
        else:
            line = " ".join([at, event, *(f"{name}={_plain(value)}" for name, value in known.items())])
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ' "\n') or not text else text


class WorkerLog(Observer):
    """Says what a worker does."""

    def __init__(self, log: Log) -> None:
        self._log, self._told = log, 0.0

    def began(self, delivery: Delivery) -> None:
        """Say which run is taken up."""
        self._told = time.monotonic()
        again = delivery.redelivered or None
        self._log.say("began", stage=delivery.stage, run=_run(delivery), attempt=delivery.attempt, redelivered=again)

    def progress(self, progress: Progress) -> None:
        """Say how far it is, every half a minute."""
        if time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            figures = {name: float(value) for name, value in progress.figures.items()}
            self._log.say("progress", stage=progress.stage, done=progress.done, total=progress.total, **figures)

    def ended(self, delivery: Delivery, outcome: Outcome, seconds: float, detail: object) -> None:
        """Say how it ended, and why where it did not end well."""
        error = detail if isinstance(detail, Exception) else None
        facts = {"error": type(error).__name__, "text": str(error)} if error else {}
        self._log.say(outcome, stage=delivery.stage, run=_run(delivery), seconds=seconds, **facts)


def _run(delivery: Delivery) -> str | None:
    try:
        return request_of(delivery).run_id
    except BadMessage:
        return None
