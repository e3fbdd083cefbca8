"""What an operator looks at: on a connection of its own, since it may take long, and nothing of it is lost."""

import copy
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

from porelay_kit.broker import envelope, link
from porelay_kit.broker.base import MAX_BODY_BYTES, DeadLetter, Drop, Unroutable, Verdict, too_big
from porelay_kit.broker.topology import INTAKE, dead_of, queue_of, retry_of
from porelay_schemas.errors import BadInput

HEARTBEAT_S = 600
"""Who decides about dead letters may think for so long between two of them."""
BACK_S = 1.0
"""The longest to wait until the server has back what was looked at."""


@contextmanager
def channel_of(parameters: Any) -> Iterator[Any]:
    """Yield a channel with confirms; what it has taken and not acknowledged goes back when it ends."""
    patient = copy.copy(parameters)
    patient.heartbeat = HEARTBEAT_S
    where = link.where(parameters)
    try:
        connection = pika.BlockingConnection(patient)
    except link.LOST as error:
        raise link.refused(error, parameters) from error
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    except ChannelClosedByBroker as error:
        raise BadInput(f"broker {where}: {error.reply_text}. Run `porelay topology check`.") from error
    except UnroutableError as error:
        raise Unroutable(f"no queue takes what is sent again in {where}. Run `porelay topology check`.") from error
    except AMQPError as error:
        raise link.refused(error, parameters) from error
    finally:
        with suppress(*link.LOST):
            connection.close()


def waiting(channel: Any, stage: str, ladder: tuple[float, ...]) -> list[bytes]:
    """Return the bodies of the messages of a stage that wait or are put off.

    Each that waits is sent to the end of its queue again before it is taken from the front, so that looking does not
    count as a return; what is put off has no limit of returns. Raises BadInput, with their number, for the queue of
    drops: it has one reader at a time, and RabbitMQ lets nobody else look.
    """
    if stage == INTAKE:
        count = channel.queue_declare(queue_of(stage), passive=True).method.message_count
        raise BadInput(
            f"queue {queue_of(stage)}: {count} notifications wait there, and RabbitMQ shows them to their reader only. "
            "What they told of lies in the inbox: `porelay status` lists the drops."
        )
    bodies = []
    for method, properties, body in _take(channel, queue_of(stage)):
        channel.basic_publish("work", queue_of(stage), body, envelope.copied(properties), mandatory=True)
        channel.basic_ack(method.delivery_tag)
        bodies.append(body)
    for delay in ladder:
        put_off = list(_take(channel, retry_of(delay)))
        bodies += [body for method, _, body in put_off if method.routing_key == queue_of(stage)]
        _give_back(channel, retry_of(delay), len(put_off))
    return bodies


def dead_letters(channel: Any, stage: str) -> list[DeadLetter]:
    """Return the dead letters of a stage; they stay."""
    letters = [_letter(stage, properties, body) for _, properties, body in _take(channel, dead_of(stage))]
    _give_back(channel, dead_of(stage), len(letters))
    return letters


def sift(channel: Any, stage: str, decide: Callable[[DeadLetter], Verdict]) -> int:
    """Send again, destroy or keep each dead letter of a stage; return how many left."""
    left, letters = 0, list(_take(channel, dead_of(stage)))
    for method, properties, body in letters:
        verdict = decide(_letter(stage, properties, body))
        if verdict is None:
            continue
        if isinstance(verdict, bytes):
            _send_anew(channel, stage, verdict, properties)
        elif verdict is not Drop:
            raise TypeError(f"verdict {verdict!r}: wanted a body, Drop or None")
        channel.basic_ack(method.delivery_tag)
        left += 1
    _give_back(channel, dead_of(stage), len(letters) - left)
    return left


def _send_anew(channel: Any, stage: str, body: bytes, old: Any) -> None:
    if len(body) > MAX_BODY_BYTES:
        raise too_big(stage, body)
    seen, replays = envelope.first_seen_of(old), envelope.header(old, "x-replay")
    again = {"x-replay": (replays if isinstance(replays, int) else 0) + 1}
    properties = envelope.new(**({"x-first-seen": seen.isoformat()} if seen else {}), **again)
    channel.basic_publish("work", queue_of(stage), body, properties, mandatory=True)


def _take(channel: Any, name: str) -> Iterator[tuple[Any, Any, bytes]]:
    """Yield as many messages of a queue as lie in it now; they are held by the channel."""
    ready = channel.queue_declare(name, passive=True).method.message_count
    for _ in range(ready):
        method, properties, body = channel.basic_get(name)
        if method is None:
            return
        yield method, properties, body


def _give_back(channel: Any, name: str, count: int) -> None:
    """Return what is held, and wait for the server to have it: it takes a moment in which nobody would see it."""
    if not count:
        return
    channel.basic_nack(0, multiple=True, requeue=True)
    deadline = time.monotonic() + BACK_S
    while channel.queue_declare(name, passive=True).method.message_count < count and time.monotonic() < deadline:
        time.sleep(0.005)


def _letter(stage: str, properties: Any, body: bytes) -> DeadLetter:
    """Read a dead letter; one without our reason was parked by the server."""
    error, text, parked = (envelope.header(properties, name) for name in ("x-error-class", "x-error", "x-parked"))
    at = envelope.time_of(parked)
    if parked is None:
        error, text, at = _by_server(properties)
    return DeadLetter(
        id=properties.message_id or hashlib.sha256(body).hexdigest()[:32],
        stage=stage,
        body=body,
        attempt=envelope.attempt_of(properties),
        error=str(error),
        text=str(text),
        at=at,
    )


def _by_server(properties: Any) -> tuple[str, str, datetime | None]:
    deaths = envelope.header(properties, "x-death") or [{}]
    reason, at = str(deaths[0].get("reason", "")), deaths[0].get("time")
    at = at.replace(tzinfo=UTC) if isinstance(at, datetime) and at.tzinfo is None else at
    if reason == "delivery_limit":
        return "DeliveryLimit", "workers died with it more often than the limit allows", at
    return "Unknown", f"the server parked it ({reason or 'no reason given'})", at
