"""What stands on a message beside its body: its name, attempt, dates, and why it failed."""

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pika

TEXT_BYTES = 8192
_OF_ONE_ROAD = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
_OF_ONE_FAILURE = ("x-error-class", "x-error", "x-parked")


def new(**headers: Any) -> Any:
    """Return the properties of a new message."""
    return _properties({"x-attempt": 1, "x-first-seen": now()} | headers, uuid.uuid4().hex)


def copied(properties: Any, **headers: Any) -> Any:
    """Return the properties of the same message on another road: what the server noted on the last one is left out."""
    kept = {
        name: value
        for name, value in (properties.headers or {}).items()
        if not name.startswith(_OF_ONE_ROAD) and name not in _OF_ONE_FAILURE
    }
    seen = first_seen_of(properties)
    given = {"x-first-seen": seen.isoformat() if seen else now()} | headers
    return _properties(kept | given, properties.message_id or uuid.uuid4().hex)


def _properties(headers: dict[str, Any], name: str) -> Any:
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        headers=headers,
        message_id=name,
        timestamp=int(datetime.now(UTC).timestamp()),
    )


def header(properties: Any, name: str) -> Any:
    """Return a header, None where there is none."""
    return (properties.headers or {}).get(name)


def attempt_of(properties: Any) -> int:
    """Return which attempt a message is, as we counted."""
    attempt = header(properties, "x-attempt")
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def first_seen_of(properties: Any) -> datetime | None:
    """Return when a message was first published; None where it does not say."""
    found = time_of(header(properties, "x-first-seen"))
    if found is None and isinstance(properties.timestamp, int):
        with suppress(OverflowError, OSError, ValueError):
            return datetime.fromtimestamp(properties.timestamp, UTC)
    return found


def reason_of(error: BaseException) -> dict[str, Any]:
    """Return the headers that say why a message failed."""
    return {"x-error-class": type(error).__name__, "x-error": str(error)[:TEXT_BYTES]}


def now() -> str:
    """Return the time as headers have it."""
    return datetime.now(UTC).isoformat()


def time_of(text: Any) -> datetime | None:
    """Return the time of a header, None where it is none."""
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(text)
    return None
