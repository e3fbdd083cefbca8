"""The delivery contract.

At least once: a delivery that is neither acknowledged, put off nor parked comes again, to anybody, marked
`redelivered`. Publishing returns when the message is safe, and raises where nobody would ever get it. What has failed
for now goes through a ladder of fixed delays; what can never succeed, or has failed too often, is parked with its
reason, and looking at it destroys nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

RETRY_LADDER_S = (5.0, 30.0, 180.0, 900.0)
"""Delays before attempts 2, 3, 4 and 5; then the message is parked."""

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


@dataclass(frozen=True)
class DeadLetter:
    """A parked message, and why."""

    stage: str
    body: bytes
    attempt: int
    error: str
    text: str


class Unroutable(Exception):
    """No queue takes that message: a stage of that name does not exist."""


class Broker(Protocol):
    """A bus with one work queue a stage, a retry ladder, dead letters and events."""

    def publish(self, stage: str, body: bytes) -> None:
        """Put a request on the queue of a stage.

        Raises Unroutable where there is none, ValueError where the body is too big.
        """

    def get(self, stages: tuple[str, ...], timeout_s: float) -> Delivery | None:
        """Return the next message of these stages, None where none came in time."""

    def ack(self, delivery: Delivery) -> None:
        """Finish a delivery."""

    def retry(self, delivery: Delivery, error: BaseException) -> bool:
        """Put a delivery off by its attempt's delay, or park it after the last; return whether it will come again."""

    def park(self, delivery: Delivery, error: BaseException) -> None:
        """Move a delivery to the dead letters, with the reason."""

    def dead_letters(self, stage: str) -> list[DeadLetter]:
        """Return the dead letters of a stage; they stay."""

    def emit(self, key: str, body: bytes) -> None:
        """Tell whoever listens, `run.<run_id>.<stage>.<kind>`; nobody may."""

    def subscribe(self, prefix: str, listener: Callable[[str, bytes], None]) -> None:
        """Call `listener(key, body)` for events whose key begins with `prefix`."""
