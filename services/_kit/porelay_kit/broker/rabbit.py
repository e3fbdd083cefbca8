"""The bus on RabbitMQ: quorum queues, publisher confirms, acknowledgement by hand.

A message in hand belongs to a channel: when that is closed, by a lost connection or because the server waited too long
for an answer, so is the delivery, and the message comes again to somebody.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from porelay_kit.broker import aside, envelope, link
from porelay_kit.broker.base import (
    MAX_BODY_BYTES,
    RETRY_LADDER_S,
    DeadLetter,
    Delivery,
    Pulse,
    Verdict,
    delay_of,
    too_big,
)
from porelay_kit.broker.ears import Ears
from porelay_kit.broker.hands import Hands
from porelay_kit.broker.press import Letter, Press
from porelay_kit.broker.topology import queue_of, retry_of
from porelay_kit.settings import Settings
from porelay_schemas.errors import BrokerUnavailable

CONNECT_S = 15.0
PATIENCE_S = 30.0


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
        self.retry_ladder_s, self._patience = retry_ladder_s, patience_s
        self._link = link.Link(self._parameters)
        self._press = Press(self._link, self.where, patience_s)
        self._hands = Hands(self._link, self._press)
        self._ears = Ears(self._link)
        self._link.start((self._press, self._hands, self._ears), CONNECT_S)

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
        bond = self._link
        consuming = bond.connected and self._hands.taking
        return Pulse(time.monotonic() - bond.ticked, link.HEARTBEAT_S, bond.connected, consuming, bond.alarm)

    def close(self) -> None:
        """Leave; what is held comes again to somebody."""
        self._link.close()
        self._ears.close()

    def publish(self, stage: str, body: bytes) -> None:
        """Put a request on the queue of a stage."""
        if len(body) > MAX_BODY_BYTES:
            raise too_big(stage, body)
        self._send("work", stage, body, envelope.new())

    def _send(self, exchange: str, stage: str, body: bytes, properties: Any) -> None:
        self._press.send(Letter(exchange, queue_of(stage), body, properties), lambda: self._hands.full)

    def get(self, stages: tuple[str, ...], timeout_s: float) -> Delivery | None:
        """Return the next message of these stages, None where none came in time."""
        return self._hands.get(stages, timeout_s)

    def ahead(self) -> list[bytes]:
        """Return the bodies of messages that have arrived and that `get` has not returned yet."""
        return self._hands.ahead()

    def ack(self, delivery: Delivery) -> None:
        """Finish a delivery."""
        self._hands.ack(delivery)

    def again(self, delivery: Delivery) -> None:
        """Put the same message at the end of its queue, as a first attempt, and finish this delivery."""
        self._pass_on("work", delivery, {"x-attempt": 1})

    def retry(self, delivery: Delivery, error: BaseException) -> bool:
        """Put a delivery off by its attempt's delay, or park it after the last; return whether it will come again."""
        delay = delay_of(self.retry_ladder_s, delivery.attempt, error)
        if delay is None:
            self.park(delivery, error)
            return False
        self._pass_on(retry_of(delay), delivery, {"x-attempt": delivery.attempt + 1} | envelope.reason_of(error))
        return True

    def park(self, delivery: Delivery, error: BaseException) -> None:
        """Move a delivery to the dead letters, with the reason."""
        parked = {"x-attempt": delivery.attempt, "x-parked": datetime.now(UTC).isoformat()}
        self._pass_on("dlx", delivery, parked | envelope.reason_of(error))

    def _pass_on(self, exchange: str, delivery: Delivery, headers: dict[str, Any]) -> None:
        """Send a copy elsewhere and acknowledge; where it cannot be sent in time the message comes again."""
        held = self._hands.held(delivery)
        try:
            self._send(exchange, delivery.stage, delivery.body, envelope.copied(held.properties, **headers))
        except BrokerUnavailable:
            self._hands.give_back(delivery)
            raise
        self._hands.ack(delivery)

    def emit(self, key: str, body: bytes) -> None:
        """Tell whoever listens."""
        self._ears.emit(key, body)

    def subscribe(self, prefix: str, listener: Callable[[str, bytes], None]) -> None:
        """Call `listener(key, body)` for events and commands whose key begins with `prefix`."""
        self._ears.subscribe(prefix, listener, self._patience)

    def waiting(self, stage: str) -> list[bytes]:
        """Return the bodies of the messages of a stage that wait or are put off; they go to the end of the queue."""
        with aside.channel_of(self._parameters) as channel:
            return aside.waiting(channel, stage, self.retry_ladder_s)

    def dead_letters(self, stage: str) -> list[DeadLetter]:
        """Return the dead letters of a stage; they stay."""
        with aside.channel_of(self._parameters) as channel:
            return aside.dead_letters(channel, stage)

    def sift(self, stage: str, decide: Callable[[DeadLetter], Verdict]) -> int:
        """Send again, destroy or keep each dead letter of a stage; return how many left."""
        with aside.channel_of(self._parameters) as channel:
            return aside.sift(channel, stage, decide)
