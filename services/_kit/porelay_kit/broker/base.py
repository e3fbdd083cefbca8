"""The delivery contract.

At least once: a delivery that is neither acknowledged, put off nor parked comes again, to anybody, marked
`redelivered`. Publishing returns when the message is safe, and raises where nobody would ever get it. What has failed
for now goes through a ladder of fixed delays; what can never succeed, or has failed too often, is parked with its
reason, and looking at it destroys nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from porelay_schemas.errors import BadMessage, waits

RETRY_LADDER_S = (5.0, 30.0, 180.0, 900.0)
"""Delays before attempts 2, 3, 4 and 5; what is a defect is parked then, what only has to wait is put off on."""

DELIVERY_LIMIT = 5
"""How often a message may come back unacknowledged (a worker died with it) before it is parked."""

MAX_BODY_BYTES = 65536


@dataclass(frozen=True)
class Delivery:
    """A message in one worker's hands."""

    stage: str
    body: bytes
    attempt: int
    redelivered: bool
    tag: int = field(compare=False)
    first_seen: datetime | None = field(default=None, compare=False)
    """When it was first published."""


@dataclass(frozen=True)
class DeadLetter:
    """A parked message, and why."""

    id: str
    stage: str
    body: bytes
    attempt: int
    error: str
    text: str
    at: datetime | None = field(default=None, compare=False)
    """When it was parked."""


class Drop:
    """What `sift` answers for a dead letter that is to be destroyed."""


Verdict = bytes | type[Drop] | None
"""What becomes of a dead letter: the body with which it is sent again, `Drop`, or None where it stays."""


@dataclass(frozen=True)
class Pulse:
    """What a broker adapter knows of itself; `tick_age_s` is how long ago its I/O loop last went round.

    `alarm` is why the broker takes no messages at present, empty where it takes them. RabbitMQ tells it only to
    connections that have tried to publish.
    """

    tick_age_s: float
    heartbeat_s: float
    connected: bool
    consuming: bool
    alarm: str = ""


def too_big(stage: str, body: bytes) -> BadMessage:
    """Return the error for a body that does not travel."""
    return BadMessage(f"message of {len(body)} bytes for {stage}: the limit is {MAX_BODY_BYTES}. Point at data.")


class Unroutable(Exception):
    """No queue takes that message: a stage of that name does not exist."""


class Broker(Protocol):
    """A bus with one work queue a stage, a retry ladder, dead letters and events.

    All of it raises BrokerUnavailable where the broker does not answer in time; `get` only returns None. `ack`, `retry`
    and `park` raise KeyError for a delivery that is not held any more (settled already, or its connection was lost:
    then it comes again to somebody).
    """

    @property
    def retry_ladder_s(self) -> tuple[float, ...]:
        """For how long a delivery is put off after its first attempt, its second, and so on."""

    def publish(self, stage: str, body: bytes) -> None:
        """Put a request on the queue of a stage; return when it is safe.

        Raises Unroutable where there is none, BadMessage where the body is too big.
        """

    def get(self, stages: tuple[str, ...], timeout_s: float) -> Delivery | None:
        """Return the next message of these stages, None where none came in time."""

    def ahead(self) -> list[bytes]:
        """Return the bodies of messages that this process has been sent and that `get` has not returned yet."""

    def ack(self, delivery: Delivery) -> None:
        """Finish a delivery."""

    def again(self, delivery: Delivery) -> None:
        """Put the same message at the end of its queue, as a first attempt, and finish this delivery."""

    def retry(self, delivery: Delivery, error: BaseException) -> bool:
        """Put a delivery off by its attempt's delay, or park it after the last; return whether it will come again.

        What is only not possible now (Retryable, Denied) is put off by the last delay again and again.
        """

    def park(self, delivery: Delivery, error: BaseException) -> None:
        """Move a delivery to the dead letters, with the reason."""

    def waiting(self, stage: str) -> list[bytes]:
        """Return the bodies of the messages of a stage that wait or are put off; they stay, and lose no attempt.

        Raises BadInput for the notifications of drops where the server does not let one look.
        """

    def dead_letters(self, stage: str) -> list[DeadLetter]:
        """Return the dead letters of a stage; they stay, however often one looks."""

    def sift(self, stage: str, decide: Callable[[DeadLetter], Verdict]) -> int:
        """Send again, destroy or keep each dead letter of a stage; return how many left."""

    def emit(self, key: str, body: bytes) -> None:
        """Tell whoever listens; nobody may, and it may be lost.

        Events: `run.<run_id>.<stage>.<kind>` and `worker.<instance>.<kind>`. Commands: `control.run.<run_id>`,
        `control.stage.<stage>`, `control.all`.
        """

    def subscribe(self, prefix: str, listener: Callable[[str, bytes], None]) -> None:
        """Call `listener(key, body)`, from another thread, for events and commands whose key begins with `prefix`."""

    def close(self) -> None:
        """Leave; what is held comes again to somebody."""


def delay_of(ladder_s: tuple[float, ...], attempt: int, error: BaseException) -> float | None:
    """Return for how long a delivery is put off, None where it has failed too often."""
    if not ladder_s or (attempt > len(ladder_s) and not waits(error)):
        return None
    return ladder_s[min(attempt, len(ladder_s)) - 1]
