"""Consuming: a channel a stage, one message at a time, and what is held by whom."""

import itertools
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pika

from porelay_kit.broker import link
from porelay_kit.broker.base import MAX_BODY_BYTES, Delivery, too_big
from porelay_kit.broker.envelope import attempt_of, copied, first_seen_of, reason_of
from porelay_kit.broker.press import AGAIN_S, Letter, Press
from porelay_kit.broker.topology import queue_of

LONG_S = 1.0
"""Who is busy for so long gives back what it has of other stages."""


@dataclass(eq=False)
class _Consumer:
    """The channel of a stage. `resting`: it takes nothing, since its worker is busy with another stage."""

    stage: str
    channel: Any = None
    name: str = ""
    resting: bool = False
    buffer: deque[Delivery] = field(default_factory=deque)


@dataclass(eq=False)
class Held:
    """What the server knows a delivery by; `since` when a worker has it."""

    stage: str
    channel: Any
    tag: int
    properties: Any
    since: float | None = None


class Hands:
    """Takes messages and remembers which are held. A delivery is lost with its channel, and comes again."""

    def __init__(self, bond: link.Link, press: Press) -> None:
        self._link, self._press = bond, press
        self._changed = threading.Condition()
        self._consumers: dict[str, _Consumer] = {}
        self._asking: Counter[str] = Counter()
        self._held: dict[int, Held] = {}
        self._leaving: list[Letter] = []
        self._tags = itertools.count(1)
        self._connection: Any = None

    @property
    def taking(self) -> bool:
        """Whether the server sends us messages of all stages that we want messages of."""
        with self._changed:
            return all(one.name or one.resting for one in self._consumers.values())

    @property
    def full(self) -> bool:
        """Whether a worker has anything."""
        with self._changed:
            return any(held.since is not None for held in self._held.values())

    def get(self, stages: tuple[str, ...], timeout_s: float) -> Delivery | None:
        """Return the next message of these stages, None where none came in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            for stage in stages:
                self._want(stage)
            self._asking.update(stages)
            try:
                while not self._link.closed:
                    delivery = self._next(stages)
                    left = deadline - time.monotonic()
                    if delivery is not None or left <= 0:
                        return delivery
                    self._changed.wait(min(left, link.ROUND_S))
                return None
            finally:
                self._asking.subtract(stages)

    def _want(self, stage: str) -> None:
        consumer = self._consumers.setdefault(stage, _Consumer(stage))
        consumer.resting = False
        if consumer.channel is None:
            self._link.post(partial(self._start, consumer))

    def _next(self, stages: tuple[str, ...]) -> Delivery | None:
        for stage in stages:
            buffer = self._consumers[stage].buffer
            if buffer:
                delivery = buffer.popleft()
                self._held[delivery.tag].since = time.monotonic()
                return delivery
        return None

    def ahead(self) -> list[bytes]:
        """Return the bodies of what has arrived and is not handed out, or is on its way back."""
        with self._changed:
            buffered = [delivery.body for one in self._consumers.values() for delivery in one.buffer]
            return buffered + [letter.body for letter in self._leaving]

    def held(self, delivery: Delivery) -> Held:
        """Return what a delivery is known by; raise KeyError where it is settled or lost."""
        with self._changed:
            return self._held[delivery.tag]

    def ack(self, delivery: Delivery) -> None:
        """Finish a delivery; raise KeyError where it is settled or lost."""
        with self._changed:
            held = self._held.pop(delivery.tag)
        if not self._link.post(partial(held.channel.basic_ack, held.tag)):
            raise KeyError(delivery.tag)

    def give_back(self, delivery: Delivery) -> None:
        """Let a message come again to somebody that could not be settled."""
        with self._changed:
            held = self._held.pop(delivery.tag, None)
        if held is not None:
            self._link.post(held.channel.close)

    def opened(self, connection: Any) -> None:
        """Take from a new connection what was taken from the last."""
        self._connection = connection
        with self._changed:
            wanted = [one for one in self._consumers.values() if not one.resting]
        for consumer in wanted:
            self._start(consumer)

    def lost(self) -> None:
        """Forget what is held: it comes again."""
        self._connection = None
        with self._changed:
            self._held.clear()
            for consumer in self._consumers.values():
                consumer.channel, consumer.name = None, ""
                consumer.buffer.clear()

    def each_round(self) -> None:
        """Rest from stages whose messages would lie here while the worker is long busy with another."""
        now = time.monotonic()
        with self._changed:
            busy = {one.stage: now - one.since for one in self._held.values() if one.since is not None}
            idle = [
                one
                for one in self._consumers.values()
                if one.name and one.stage not in busy and self._asking[one.stage] <= 0
            ]
        if busy and max(busy.values()) > LONG_S:
            for consumer in idle:
                self._rest(consumer)

    def _start(self, consumer: _Consumer) -> None:
        if self._connection is not None and consumer.channel is None and not consumer.resting:
            consumer.channel = self._connection.channel(on_open_callback=partial(self._prepare, consumer))

    def _prepare(self, consumer: _Consumer, channel: Any) -> None:
        channel.add_on_close_callback(partial(self._closed, consumer))
        channel.add_on_cancel_callback(lambda frame: channel.close())
        channel.basic_qos(prefetch_count=1, callback=lambda frame: self._consume(consumer, channel))

    def _consume(self, consumer: _Consumer, channel: Any) -> None:
        def begun(frame: Any) -> None:
            consumer.name = frame.method.consumer_tag

        channel.basic_consume(queue_of(consumer.stage), partial(self._arrived, consumer), callback=begun)

    def _closed(self, consumer: _Consumer, channel: Any, reason: Exception) -> None:
        with self._changed:
            if consumer.channel is not channel:
                return
            consumer.channel, consumer.name = None, ""
            consumer.buffer.clear()
            for tag in [tag for tag, held in self._held.items() if held.channel is channel]:
                del self._held[tag]
        ours = isinstance(reason, pika.exceptions.ChannelClosedByClient)
        self._link.later(0.0 if ours else AGAIN_S, partial(self._start, consumer))

    def _arrived(self, consumer: _Consumer, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        stage = consumer.stage
        if len(body) > MAX_BODY_BYTES:
            self._pass_on("dlx", channel, method.delivery_tag, stage, body, _parked(properties, stage, body))
            return
        tag, attempt, seen = next(self._tags), attempt_of(properties), first_seen_of(properties)
        delivery = Delivery(stage, body, attempt, bool(method.redelivered), tag, seen)
        with self._changed:
            self._held[tag] = Held(stage, channel, method.delivery_tag, properties)
            consumer.buffer.append(delivery)
            self._changed.notify_all()

    def _rest(self, consumer: _Consumer) -> None:
        with self._changed:
            if self._asking[consumer.stage] > 0:
                return
            name, channel = consumer.name, consumer.channel
            consumer.resting, consumer.name = True, ""
        channel.basic_cancel(name, callback=lambda frame: self._return_buffered(consumer, channel))

    def _return_buffered(self, consumer: _Consumer, channel: Any) -> None:
        """Send what was not begun to the end of its queue: giving it back would count as a return."""
        with self._changed:
            if not consumer.resting:  # asked for again meanwhile
                self._consume(consumer, channel)
                return
            waiting = [(delivery, self._held.pop(delivery.tag)) for delivery in consumer.buffer]
            consumer.buffer.clear()
            for delivery, held in waiting:
                same = copied(held.properties)
                self._pass_on("work", channel, held.tag, consumer.stage, delivery.body, same, leave=True)
        if not waiting:
            channel.close()

    def _pass_on(
        self, exchange: str, channel: Any, tag: int, stage: str, body: bytes, properties: Any, *, leave: bool = False
    ) -> None:
        """Send a copy elsewhere, and acknowledge when that is safe; where it cannot be, it comes again."""
        letter = Letter(exchange, queue_of(stage), body, properties)

        def settle(sent: "Future[None]") -> None:
            self._leaving.remove(letter)
            with suppress(*link.LOST):
                safe = sent.exception() is None
                if safe:
                    channel.basic_ack(tag)
                if leave or not safe:
                    channel.close()

        self._leaving.append(letter)
        letter.sent.add_done_callback(settle)
        self._press.put(letter)


def _parked(properties: Any, stage: str, body: bytes) -> Any:
    return copied(properties, **reason_of(too_big(stage, body)), **{"x-parked": datetime.now(UTC).isoformat()})
