"""The bus on RabbitMQ: quorum queues, publisher confirms, acknowledgement by hand.

A message in hand belongs to a connection: when that is lost, so is the delivery, and the message comes again to
somebody. A worker for several stages may hold one message of each, of which it does one at a time.
"""

import hashlib
import itertools
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

from porelay_kit.broker import link
from porelay_kit.broker.base import (
    MAX_BODY_BYTES,
    RETRY_LADDER_S,
    DeadLetter,
    Delivery,
    Drop,
    Pulse,
    Unroutable,
    Verdict,
    too_big,
)
from porelay_kit.broker.topology import dead_of, queue_of, retry_of
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, BrokerUnavailable

CONNECT_S = 15.0
PATIENCE_S = 30.0
MOST_EVENTS = 1000
TEXT_BYTES = 8192
_HEADERS = ("x-attempt", "x-first-seen")


@dataclass(frozen=True)
class _Held:
    """What the server knows a delivery by."""

    connection: int
    tag: int
    properties: Any


class RabbitBroker:
    """The bus of one virtual host, for one process. Thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        tls: link.Tls = link.Tls(),  # noqa: B008
        retry_ladder_s: tuple[float, ...] = RETRY_LADDER_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._parameters = link.parameters(url, tls)
        self._ladder, self._patience = retry_ladder_s, patience_s
        self._changed = threading.Condition()
        self._buffers: dict[str, deque[Delivery]] = {}
        self._held: dict[int, _Held] = {}
        self._tags, self._connections = itertools.count(1), 0
        self._listeners: list[tuple[str, Callable[[str, bytes], None]]] = []
        self._events: queue.Queue[tuple[Callable[[str, bytes], None], str, bytes] | None] = queue.Queue(MOST_EVENTS)
        self._teller: threading.Thread | None = None
        self._cancelled, self._consuming = False, set[str]()
        self._work: Any = None
        self._out: Any = None
        self._loose: Any = None
        self._link = link.Link(self._parameters, opened=self._open, well=self._well, lost=self._forget)
        self._link.start(CONNECT_S)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Connect as the settings say; raise BadInput or BrokerUnavailable."""
        assert settings.amqp_url is not None
        tls = link.Tls(settings.amqp_ca_file, settings.amqp_cert_file, settings.amqp_key_file)
        return cls(settings.amqp_url.get_secret_value(), tls=tls)

    @property
    def where(self) -> str:
        """Its address, without user and password."""
        return link.where(self._parameters)

    def pulse(self) -> Pulse:
        """Tell how the connection is."""
        with self._changed:
            consuming = self._link.connected and not self._cancelled
        return Pulse(time.monotonic() - self._link.ticked, link.HEARTBEAT_S, self._link.connected, consuming)

    def close(self) -> None:
        """Leave; what is held comes again to somebody."""
        self._link.close()
        if self._teller is not None:
            self._events.put(None)
            self._teller.join(1)

    # What the connection's own thread does.

    def _open(self, connection: Any) -> None:
        self._work, self._out, self._loose = connection.channel(), connection.channel(), connection.channel()
        self._work.basic_qos(prefetch_count=1)
        self._work.add_on_cancel_callback(self._cancel)
        self._out.confirm_delivery()
        with self._changed:
            self._connections += 1
            self._cancelled, self._consuming = False, set()
            stages, listeners = list(self._buffers), list(self._listeners)
        for prefix, listener in listeners:
            self._listen(prefix, listener)
        for stage in stages:
            self._consume(stage)

    def _well(self) -> bool:
        return bool(self._work.is_open and self._out.is_open and self._loose.is_open and not self._cancelled)

    def _forget(self) -> None:
        with self._changed:
            self._held.clear()
            for buffer in self._buffers.values():
                buffer.clear()

    def _cancel(self, frame: Any) -> None:
        self._cancelled = True

    def _consume(self, stage: str) -> None:
        if stage in self._consuming:
            return
        self._consuming.add(stage)
        self._work.basic_consume(queue_of(stage), partial(self._arrived, stage))

    def _arrived(self, stage: str, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        delivery = Delivery(
            stage=stage,
            body=body,
            attempt=_attempt(properties),
            redelivered=bool(method.redelivered),
            tag=next(self._tags),
            first_seen=_time_of(_header(properties, "x-first-seen")),
        )
        with self._changed:
            self._held[delivery.tag] = _Held(self._connections, method.delivery_tag, properties)
            self._buffers[delivery.stage].append(delivery)
            self._changed.notify_all()

    def _listen(self, prefix: str, listener: Callable[[str, bytes], None]) -> None:
        exchange, space = ("control", "control.") if prefix.startswith("control") else ("events", "")
        declared = self._loose.queue_declare("", exclusive=True, auto_delete=True, arguments={"x-max-length": 1000})
        words = prefix.removeprefix(space)
        self._loose.queue_bind(declared.method.queue, exchange, f"{words}#" if words.endswith(".") else "#")

        def hear(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            key = f"{space}{method.routing_key}"
            if key.startswith(prefix):
                with suppress(queue.Full):
                    self._events.put_nowait((listener, key, body))

        self._loose.basic_consume(declared.method.queue, hear, auto_ack=True)

    def _send(self, exchange: str, key: str, body: bytes, headers: dict[str, Any], message_id: str) -> None:
        """Publish; return when the message is safe."""
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=2,
            headers=headers,
            message_id=message_id,
            timestamp=int(time.time()),
        )
        self._out.basic_publish(exchange, key, body, properties, mandatory=True)

    # What a worker asks for.

    def publish(self, stage: str, body: bytes) -> None:
        """Put a request on the queue of a stage."""
        if len(body) > MAX_BODY_BYTES:
            raise too_big(stage, body)
        headers = {"x-attempt": 1, "x-first-seen": _now()}
        name = uuid.uuid4().hex
        self._safely(stage, lambda: self._send("work", queue_of(stage), body, headers, name))

    def _safely(self, stage: str, send: Callable[[], None]) -> None:
        """Publish, and again where the connection was lost before it was confirmed."""
        deadline = time.monotonic() + self._patience
        while True:
            left = deadline - time.monotonic()
            try:
                self._link.call(send, max(left, 0.0))
                return
            except UnroutableError as error:
                raise Unroutable(f"no queue takes messages for stage {stage!r} in {self.where}.") from error
            except link.LOST as error:
                if left <= 0:
                    raise link.refused(error, self._parameters) from error
                if isinstance(error, NackError):
                    time.sleep(min(1.0, left))  # the queue is full: it refuses

    def get(self, stages: tuple[str, ...], timeout_s: float) -> Delivery | None:
        """Return the next message of these stages, None where none came in time."""
        self._begin_consuming(stages)
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = next((self._buffers[stage] for stage in stages if self._buffers[stage]), None)
                if found is not None:
                    delivery = found.popleft()
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
        if len(delivery.body) > MAX_BODY_BYTES:
            with suppress(KeyError):
                self.park(delivery, too_big(delivery.stage, delivery.body))
            return self.get(stages, max(0.0, deadline - time.monotonic()))
        return delivery

    def _begin_consuming(self, stages: tuple[str, ...]) -> None:
        """Consume what was not consumed yet; without a connection it is done when there is one again."""
        with self._changed:
            new = [stage for stage in stages if stage not in self._buffers]
            self._buffers |= {stage: deque() for stage in new}
        for stage in new if self._link.connected else ():
            with suppress(*link.LOST, BrokerUnavailable):
                self._link.call(lambda stage=stage: self._consume(stage), self._patience)  # type: ignore[misc]

    def ahead(self) -> list[bytes]:
        """Return the bodies of messages that have arrived and that `get` has not returned yet."""
        with self._changed:
            return [delivery.body for buffer in self._buffers.values() for delivery in buffer]

    def ack(self, delivery: Delivery) -> None:
        """Finish a delivery."""
        self._settle(delivery, lambda held: None)

    def again(self, delivery: Delivery) -> None:
        """Put the same message at the end of its queue, as a first attempt, and finish this delivery."""
        key = queue_of(delivery.stage)
        self._settle(delivery, lambda held: self._pass_on("work", key, delivery, held, {"x-attempt": 1}))

    def retry(self, delivery: Delivery, error: BaseException) -> bool:
        """Put a delivery off by its attempt's delay, or park it after the last; return whether it will come again."""
        if delivery.attempt > len(self._ladder):
            self.park(delivery, error)
            return False
        exchange, key = retry_of(self._ladder[delivery.attempt - 1]), queue_of(delivery.stage)
        more = {"x-attempt": delivery.attempt + 1} | _reason(error)
        self._settle(delivery, lambda held: self._pass_on(exchange, key, delivery, held, more))
        return True

    def park(self, delivery: Delivery, error: BaseException) -> None:
        """Move a delivery to the dead letters, with the reason."""
        more = {"x-attempt": delivery.attempt, "x-parked": _now()} | _reason(error)
        self._settle(delivery, lambda held: self._pass_on("dlx", queue_of(delivery.stage), delivery, held, more))

    def _pass_on(self, exchange: str, key: str, delivery: Delivery, held: _Held, more: dict[str, Any]) -> None:
        kept = {name: value for name in _HEADERS if (value := _header(held.properties, name)) is not None}
        self._send(exchange, key, delivery.body, kept | more, held.properties.message_id or uuid.uuid4().hex)

    def _settle(self, delivery: Delivery, before: Callable[[_Held], None]) -> None:
        """Do what must be safe first, then acknowledge; raise KeyError where the delivery is lost."""

        def settle() -> None:
            with self._changed:
                held = self._held.pop(delivery.tag)
            if held.connection != self._connections:
                raise KeyError(delivery.tag)
            before(held)
            self._work.basic_ack(held.tag)

        try:
            self._link.call(settle, self._patience)
        except UnroutableError as error:
            raise Unroutable(
                f"{self.where} has no place for {delivery.stage!r}. Run `porelay topology apply`."
            ) from error
        except link.LOST as error:
            raise KeyError(delivery.tag) from error

    def emit(self, key: str, body: bytes) -> None:
        """Tell whoever listens."""
        exchange = "control" if key.startswith("control.") else "events"
        name = key.removeprefix("control.")
        self._link.post(lambda: self._loose.basic_publish(exchange, name, body))

    def subscribe(self, prefix: str, listener: Callable[[str, bytes], None]) -> None:
        """Call `listener(key, body)` for events and commands whose key begins with `prefix`."""
        if self._teller is None:
            self._teller = threading.Thread(target=self._tell, name="events", daemon=True)
            self._teller.start()
        with self._changed:
            self._listeners.append((prefix, listener))
        if self._link.connected:  # or it is done when there is a connection again
            with suppress(*link.LOST):
                self._link.call(lambda: self._listen(prefix, listener), self._patience)

    def _tell(self) -> None:
        while (event := self._events.get()) is not None:
            listener, key, body = event
            listener(key, body)

    # What an operator looks at: on a connection of its own, since it may take long.

    @contextmanager
    def _aside(self) -> Iterator[Any]:
        """Yield a channel with confirms; what it has taken and not acknowledged goes back when it ends."""
        try:
            connection = pika.BlockingConnection(self._parameters)
        except link.LOST as error:
            raise link.refused(error, self._parameters) from error
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        except ChannelClosedByBroker as error:
            raise BadInput(f"broker {self.where}: {error.reply_text}. Run `porelay topology check`.") from error
        except AMQPError as error:
            raise link.refused(error, self._parameters) from error
        finally:
            with suppress(*link.LOST):
                connection.close()

    def waiting(self, stage: str) -> list[bytes]:
        """Return the bodies of the messages of a stage that wait or are put off.

        Each that waits is sent to the end of its queue again before it is taken from the front, so that looking does
        not count as a return; what is put off has no limit of returns.
        """
        with self._aside() as channel:
            bodies = []
            for method, properties, body in _take(channel, queue_of(stage)):
                channel.basic_publish("work", queue_of(stage), body, properties, mandatory=True)
                channel.basic_ack(method.delivery_tag)
                bodies.append(body)
            for delay in self._ladder:
                put_off = _take(channel, retry_of(delay))
                bodies += [body for method, _, body in put_off if method.routing_key == queue_of(stage)]
            return bodies

    def dead_letters(self, stage: str) -> list[DeadLetter]:
        """Return the dead letters of a stage; they stay."""
        with self._aside() as channel:
            return [_letter(stage, properties, body) for _, properties, body in _take(channel, dead_of(stage))]

    def sift(self, stage: str, decide: Callable[[DeadLetter], Verdict]) -> int:
        """Send again, destroy or keep each dead letter of a stage; return how many left."""
        left = 0
        with self._aside() as channel:
            for method, properties, body in list(_take(channel, dead_of(stage))):
                verdict = decide(_letter(stage, properties, body))
                if verdict is None:
                    continue
                if isinstance(verdict, bytes):
                    self._send_anew(channel, stage, verdict, properties)
                elif verdict is not Drop:
                    raise TypeError(f"verdict {verdict!r}: wanted a body, Drop or None")
                channel.basic_ack(method.delivery_tag)
                left += 1
        return left

    def _send_anew(self, channel: Any, stage: str, body: bytes, old: Any) -> None:
        if len(body) > MAX_BODY_BYTES:
            raise too_big(stage, body)
        replays = int(_header(old, "x-replay") or 0) + 1
        headers = {"x-attempt": 1, "x-first-seen": _header(old, "x-first-seen") or _now(), "x-replay": replays}
        properties = pika.BasicProperties(
            content_type="application/json", delivery_mode=2, headers=headers, message_id=uuid.uuid4().hex
        )
        channel.basic_publish("work", queue_of(stage), body, properties, mandatory=True)


def _take(channel: Any, name: str) -> Iterator[tuple[Any, Any, bytes]]:
    """Yield as many messages of a queue as lie in it now; they are held by the channel."""
    ready = channel.queue_declare(name, passive=True).method.message_count
    for _ in range(ready):
        method, properties, body = channel.basic_get(name)
        if method is None:
            return
        yield method, properties, body


def _header(properties: Any, name: str) -> Any:
    return (properties.headers or {}).get(name)


def _attempt(properties: Any) -> int:
    attempt = _header(properties, "x-attempt")
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _time_of(text: Any) -> datetime | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(text)
    return None


def _reason(error: BaseException) -> dict[str, str]:
    return {"x-error-class": type(error).__name__, "x-error": str(error)[:TEXT_BYTES]}


def _letter(stage: str, properties: Any, body: bytes) -> DeadLetter:
    """Read a dead letter; one without our reason was parked by the server."""
    error, text, at = (_header(properties, name) for name in ("x-error-class", "x-error", "x-parked"))
    if at is None:
        error, text, at = _by_server(properties)
    return DeadLetter(
        id=properties.message_id or hashlib.sha256(body).hexdigest()[:32],
        stage=stage,
        body=body,
        attempt=_attempt(properties),
        error=str(error),
        text=str(text),
        at=_time_of(at) if isinstance(at, str) else at,
    )


def _by_server(properties: Any) -> tuple[str, str, datetime | None]:
    deaths = _header(properties, "x-death") or [{}]
    reason, at = str(deaths[0].get("reason", "")), deaths[0].get("time")
    at = at.replace(tzinfo=UTC) if isinstance(at, datetime) and at.tzinfo is None else at
    if reason == "delivery_limit":
        return "DeliveryLimit", "workers died with it more often than the limit allows", at
    return "Unknown", f"the server parked it ({reason or 'no reason given'})", at
