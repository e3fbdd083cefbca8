"""Dead letters: which are meant, what they say, and how they are sent again."""

import base64
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from porelay_kit import planning
from porelay_kit.broker.base import MAX_BODY_BYTES, Broker, DeadLetter, Verdict
from porelay_kit.runner.history import spot_of
from porelay_kit.runner.state import REQUEST, RunState
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadInput
from porelay_schemas.route import STAGES

QUEUES = (*STAGES, "intake")


@dataclass(frozen=True)
class Filter:
    """Which dead letters are meant; what is left empty holds for all."""

    stages: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    @property
    def queues(self) -> tuple[str, ...]:
        """The stages whose dead letters are looked at."""
        return self.stages or QUEUES

    @property
    def empty(self) -> bool:
        """Whether it holds for all dead letters."""
        return self == Filter()

    def holds(self, letter: DeadLetter, now: datetime) -> bool:
        """Return whether a dead letter is meant. One of unknown age is neither older nor newer than anything."""
        return (
            _among(letter.id, self.ids)
            and _among(letter.error, self.errors)
            and (not self.runs or run_of(letter) in self.runs)
            and self._aged(letter, now)
        )

    def _aged(self, letter: DeadLetter, now: datetime) -> bool:
        if self.older_than is None and self.newer_than is None:
            return True
        if letter.at is None:
            return False
        age = now - letter.at
        return (self.older_than is None or age > self.older_than) and (self.newer_than is None or age < self.newer_than)


def _among(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def run_of(letter: DeadLetter) -> str | None:
    """Return the run that a dead letter is about, None where it does not say."""
    spot = spot_of(letter.body)
    return spot.run_id if spot else None


def letters(broker: Broker, chosen: Filter) -> list[DeadLetter]:
    """Return the dead letters that are meant; they stay."""
    now = datetime.now(UTC)
    return [one for stage in chosen.queues for one in broker.dead_letters(stage) if chosen.holds(one, now)]


def document(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as JSON; a body that is no JSON stands in base64."""
    try:
        body: Any = json.loads(letter.body)
    except ValueError:
        body = {"base64": base64.b64encode(letter.body).decode()}
    return {
        "id": letter.id,
        "stage": letter.stage,
        "run_id": run_of(letter),
        "attempt": letter.attempt,
        "error": letter.error,
        "text": letter.text,
        "at": letter.at.isoformat() if letter.at else None,
        "body": body,
    }


def sift(
    broker: Broker, found: list[DeadLetter], decide: Callable[[DeadLetter], Verdict], *, rate: float | None = None
) -> None:
    """Decide about those that were found, at most `rate` a second; what was parked since stays."""
    meant = {(letter.stage, letter.id) for letter in found}
    due = time.monotonic()

    def verdict(letter: DeadLetter) -> Verdict:
        nonlocal due
        if (letter.stage, letter.id) not in meant:
            return None
        time.sleep(max(0.0, due - time.monotonic()))
        due = time.monotonic() + (1 / rate if rate else 0.0)
        return decide(letter)

    for stage in dict.fromkeys(letter.stage for letter in found):
        broker.sift(stage, verdict)


def patched(letter: DeadLetter, changes: tuple[str, ...]) -> bytes:
    """Return the body with which a letter is sent again; raise BadInput where the changes do not fit it."""
    asked = [change for change in changes if change.partition(".")[0] == letter.stage]
    if len(asked) < len(changes):
        others = sorted({change.partition(".")[0] for change in changes} - {letter.stage})
        raise BadInput(
            f"--set: letter {letter.id} is of {letter.stage!r}, got a change for {', '.join(map(repr, others))}. "
            f"Choose the letters with --stage {others[0]}, or leave the change out."
        )
    if not asked:
        return letter.body
    try:
        request = REQUEST.validate_json(letter.body)
    except ValidationError as error:
        text = f"--set: letter {letter.id} holds no request of this version. Replay it as it is, or drop it."
        raise BadInput(text) from error
    use = planning.changed_calls(request.stage, request.use, asked)
    body = request.model_copy(update={"use": use}).model_dump_json().encode()
    if len(body) > MAX_BODY_BYTES:
        raise BadInput(f"--set: {len(body)} bytes, wanted at most {MAX_BODY_BYTES}. Change the plan and submit it.")
    return body


def take_back(store: Store, stage: str, body: bytes) -> None:
    """Clear the failure of the run that a message belongs to, and note what is asked now."""
    spot = spot_of(body)
    if spot is None or not store.exists(f"runs/{spot.run_id}/run.json"):
        return
    state = RunState(store, spot.run_id)
    with contextlib.suppress(ValidationError):
        state.asked(REQUEST.validate_json(body))
    state.forget_failure(stage)
