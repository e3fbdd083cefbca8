"""Exchanges, queues and policies of the bus, as one typed description that everything else is rendered from.

Only what can never change is an argument of a queue; what an operator tunes is a policy, one for each queue, because
RabbitMQ applies only one. Nothing here is refused by 3.10 or means something else on 4.x: a `delivery-limit` of -1 is
"no limit" from 4.0 on and loses messages before, where no limit is what a queue has anyway.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pika.exceptions import ChannelClosedByBroker

from porelay_kit.broker.base import DELIVERY_LIMIT, RETRY_LADDER_S
from porelay_schemas.errors import BadInput
from porelay_schemas.route import STAGES

INTAKE = "intake"
"""The queue of bucket notifications; to a worker it is one stage more."""

TRAINER, TRAINER_RETURNS = "slicegan-trainer", 20
MOST_MESSAGES = 100_000
CONSUMER_TIMEOUT_MS = 86_400_000
"""Longer than any delivery is held: settings allow no stage more than `LONGEST_S`. It ends a worker that hangs."""

DAY_S = 86_400
UNLIMITED_SINCE = (4, 0)
CONSUMER_TIMEOUT_SINCE = (3, 12)
MISSING, REFUSED = 404, 403
GENERATION = 1
"""Of the messages. A release whose messages the last one cannot read raises it: it has queues of its own then, beside
those that workers of the last one empty."""

Version = tuple[int, ...]


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: Literal["direct", "fanout", "topic"]


@dataclass(frozen=True)
class Queue:
    """A durable queue; its arguments are for ever."""

    name: str
    kind: Literal["quorum", "stream"] = "quorum"
    single_active: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """What it is declared with."""
        alone = {"x-single-active-consumer": True} if self.single_active else {}
        return {"x-queue-type": self.kind} | alone


@dataclass(frozen=True)
class Binding:
    """What an exchange hands to a queue."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True)
class Policy:
    """What can be tuned, for all queues that the pattern matches."""

    name: str
    pattern: str
    definition: dict[str, Any]


def queue_of(stage: str) -> str:
    """Return the work queue of a stage."""
    return f"{stage}.v{GENERATION}"


def dead_of(stage: str) -> str:
    """Return the queue of a stage's dead letters."""
    return f"dlq.{stage}.v{GENERATION}"


def generation_of(queue: str) -> int | None:
    """Return the generation of a stage's queue or dead letters, None for any other queue."""
    found = re.fullmatch(r"(?:dlq\.)?(.+)\.v(\d+)", queue)
    return int(found[2]) if found and found[1] in (*STAGES, INTAKE) else None


def retry_of(delay_s: float) -> str:
    """Return the exchange, and its queue, of what is put off by a delay: `retry.30s`, `retry.3m`."""
    if delay_s >= 60 and delay_s % 60 == 0:
        return f"retry.{delay_s / 60:g}m"
    return f"retry.{delay_s:g}s" if delay_s >= 1 else f"retry.{delay_s * 1000:g}ms"


@dataclass(frozen=True)
class Topology:
    """All of it, for these stages and delays."""

    stages: tuple[str, ...] = (*STAGES, INTAKE)
    retry_ladder_s: tuple[float, ...] = RETRY_LADDER_S

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Where messages are sent."""
        retries = (Exchange(retry_of(delay), "fanout") for delay in self.retry_ladder_s)
        return (
            Exchange("work", "direct"),
            *retries,
            Exchange("dlx", "topic"),
            Exchange("events", "topic"),
            Exchange("control", "topic"),
            Exchange("ingest", "fanout"),
        )

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Where they wait."""
        return (
            *(Queue(queue_of(stage), single_active=stage == INTAKE) for stage in self.stages),
            *(Queue(retry_of(delay)) for delay in self.retry_ladder_s),
            *(Queue(dead_of(stage)) for stage in self.stages),
            Queue("dlq.log", "stream"),
            Queue("events.log", "stream"),
        )

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """How they get there."""
        return (
            *(Binding("work", queue_of(stage), queue_of(stage)) for stage in self.stages),
            *(Binding(retry_of(delay), retry_of(delay), "") for delay in self.retry_ladder_s),
            *(Binding("dlx", dead_of(stage), queue_of(stage)) for stage in self.stages),
            Binding("dlx", "dlq.log", "#"),
            Binding("events", "events.log", "run.#"),
            *([Binding("ingest", queue_of(INTAKE), "")] if INTAKE in self.stages else []),
        )

    def policies(self, version: Version) -> tuple[Policy, ...]:
        """Return the policies for a server of that version, such as `(3, 10, 8)`."""
        unlimited = {"delivery-limit": -1} if version >= UNLIMITED_SINCE else {}
        others = "|".join(re.escape(stage) for stage in self.stages if stage != TRAINER)
        retries = (
            Policy(retry_of(delay), f"^{re.escape(retry_of(delay))}$", _put_off(delay) | unlimited)
            for delay in self.retry_ladder_s
        )
        return (
            Policy("work", rf"^({others})\.v\d+$", _work(DELIVERY_LIMIT, version)),
            Policy("training", rf"^{TRAINER}\.v\d+$", _work(TRAINER_RETURNS, version)),
            *retries,
            Policy("dead-letters", r"^dlq\..+\.v\d+$", {"max-length": MOST_MESSAGES} | unlimited),
            Policy("dead-letter-log", r"^dlq\.log$", {"max-age": f"{30 * DAY_S}s"}),
            Policy("event-log", r"^events\.log$", {"max-age": f"{14 * DAY_S}s", "max-length-bytes": 2**31}),
        )

    def declare(self, channel: Any) -> None:
        """Make what is missing; raise pika's ChannelClosedByBroker (406) where something of that name is different."""
        for exchange in self.exchanges:
            channel.exchange_declare(exchange.name, exchange.kind, durable=True)
        for queue in self.queues:
            channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
        for binding in self.bindings:
            channel.queue_bind(binding.queue, binding.exchange, binding.key)

    def missing(self, connection: Any) -> Iterator[str]:
        """Yield the exchanges and queues that the server does not have; nothing is declared.

        From 4.3 on the server does not tell a user of what he has no right to: that is not missed.
        """
        for exchange in self.exchanges:
            if not _there(connection, "exchange_declare", exchange.name):
                yield f"exchange {exchange.name}"
        for queue in self.queues:
            if not _there(connection, "queue_declare", queue.name):
                yield f"queue {queue.name}"

    def check(self, connection: Any) -> None:
        """Raise BadInput where the server lacks an exchange or a queue; nothing is declared."""
        missing = list(self.missing(connection))
        if missing:
            named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            raise BadInput(f"broker: it lacks {named}. Run `porelay topology apply`.")

    def definitions(self, vhost: str, version: Version) -> dict[str, list[dict[str, Any]]]:
        """Return the part of RabbitMQ's definitions file that describes all of it."""
        here = {"vhost": vhost, "durable": True, "auto_delete": False}
        return {
            "exchanges": [
                here | {"name": one.name, "type": one.kind, "internal": False, "arguments": {}}
                for one in self.exchanges
            ],
            "queues": [here | {"name": one.name, "arguments": one.arguments} for one in self.queues],
            "bindings": [
                {
                    "source": one.exchange,
                    "vhost": vhost,
                    "destination": one.queue,
                    "destination_type": "queue",
                    "routing_key": one.key,
                    "arguments": {},
                }
                for one in self.bindings
            ],
            "policies": [
                {
                    "vhost": vhost,
                    "name": one.name,
                    "pattern": one.pattern,
                    "apply-to": "queues",
                    "priority": 0,
                    "definition": one.definition,
                }
                for one in self.policies(version)
            ],
        }


def _there(connection: Any, question: str, name: str) -> bool:
    """Ask on a channel of its own, which the server closes where the answer is no."""
    channel = connection.channel()
    try:
        getattr(channel, question)(name, passive=True)
    except ChannelClosedByBroker as error:
        if error.reply_code == MISSING:
            return False
        if error.reply_code != REFUSED:
            raise
        return True
    channel.close()
    return True


def _work(returns: int, version: Version) -> dict[str, Any]:
    """Return the policy of a work queue: parked when it has come back so often."""
    timeout = {"consumer-timeout": CONSUMER_TIMEOUT_MS} if version >= CONSUMER_TIMEOUT_SINCE else {}
    return _safely("dlx") | {"delivery-limit": returns - 1} | timeout


def _put_off(delay_s: float) -> dict[str, Any]:
    return _safely("work") | {"message-ttl": round(delay_s * 1000)}


def _safely(exchange: str) -> dict[str, Any]:
    """Return what moves dead messages to an exchange without losing one on the way."""
    return {
        "dead-letter-exchange": exchange,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
        "max-length": MOST_MESSAGES,
    }


def version_of(text: str) -> Version:
    """Return a server's version as numbers: `3.10.8` -> (3, 10, 8)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
