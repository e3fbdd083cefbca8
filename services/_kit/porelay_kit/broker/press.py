"""Publishing: a message is sent, and sent again after a lost connection, until the server has confirmed it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic

from porelay_kit.broker import link
from porelay_kit.broker.base import Unroutable
from porelay_schemas.errors import BrokerUnavailable

NOT_FOUND = 404
AGAIN_S = 1.0
"""Pause before a channel that the server closed is opened again, and before a full queue is tried again."""


class _Full(Exception):
    """The server did not take a message: its queue is full."""


@dataclass(eq=False)
class Letter:
    """A message on its way to the server; `sent` tells when it is safe."""

    exchange: str
    key: str
    body: bytes
    properties: Any
    returned: bool = False
    sent: "Future[None]" = field(default_factory=Future)

    def settle(self, error: Exception | None = None) -> None:
        """Tell who waits, unless he has given up."""
        with suppress(InvalidStateError):
            if error is None:
                self.sent.set_result(None)
            else:
                self.sent.set_exception(error)


class Press:
    """The channel with confirms. `send` is for any thread, the rest happens in the connection's own."""

    def __init__(self, bond: link.Link, where: str, patience_s: float) -> None:
        self._link, self._where, self._patience = bond, where, patience_s
        self._outbox: deque[Letter] = deque()
        self._lock = threading.Lock()
        self._unconfirmed: dict[int, Letter] = {}
        self._count = 0
        self._connection: Any = None
        self._channel: Any = None

    def send(self, letter: Letter, stays: Callable[[], bool]) -> None:
        """Return when a message is safe.

        Who holds a delivery (`stays`) waits for as long as the server has an alarm: giving up would only bring the
        message to somebody else. Raises Unroutable, or BrokerUnavailable where it was not confirmed in time.
        """
        deadline = time.monotonic() + self._patience
        while True:
            self.put(letter)
            try:
                self._wait(letter, deadline, stays)
                return
            except _Full as error:
                if time.monotonic() + AGAIN_S > deadline:
                    raise BrokerUnavailable(
                        f"broker {self._where}: the queue for {letter.key} is full. Start workers for it, or drop what "
                        "nobody needs."
                    ) from error
                time.sleep(AGAIN_S)
                letter = Letter(letter.exchange, letter.key, letter.body, letter.properties)

    def _wait(self, letter: Letter, deadline: float, stays: Callable[[], bool]) -> None:
        while True:
            left = deadline - time.monotonic()
            try:
                letter.sent.result(max(0.0, min(left, link.ROUND_S)))
                return
            except FutureTimeout:
                if self._link.alarm and stays():
                    deadline = time.monotonic() + self._patience
                elif (left <= 0 or self._link.closed) and letter.sent.cancel():
                    raise self._link.refusal() from None

    def put(self, letter: Letter) -> None:
        """Send a message as soon as there is a connection; `letter.sent` tells when it is safe."""
        with self._lock:
            self._outbox.append(letter)
        self._link.post(self._flush)

    def opened(self, connection: Any) -> None:
        """Open the channel of a new connection."""
        self._connection = connection
        self._open()

    def each_round(self) -> None:
        """Do nothing: all is done when it comes."""

    def lost(self) -> None:
        """Keep for the next connection what this one has not confirmed."""
        self._connection = None
        self._take_back()

    def _open(self) -> None:
        self._connection.channel(on_open_callback=self._prepare)

    def _prepare(self, channel: Any) -> None:
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._confirmed, callback=partial(self._begin, channel))

    def _begin(self, channel: Any, frame: Any) -> None:
        self._channel, self._count = channel, 0
        self._flush()

    def _flush(self) -> None:
        while self._channel is not None and (letter := self._next()) is not None:
            self._count += 1
            self._unconfirmed[self._count] = letter
            self._channel.basic_publish(letter.exchange, letter.key, letter.body, letter.properties, mandatory=True)

    def _next(self) -> Letter | None:
        with self._lock:
            while self._outbox:
                letter = self._outbox.popleft()
                if not letter.sent.cancelled():
                    return letter
        return None

    def _confirmed(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        tags = [one for one in self._unconfirmed if one <= tag] if frame.method.multiple else [tag]
        for letter in [self._unconfirmed.pop(one) for one in tags if one in self._unconfirmed]:
            if isinstance(frame.method, Basic.Nack):
                letter.settle(_Full())
            elif letter.returned:
                letter.settle(Unroutable(f"no queue takes messages for {letter.key} in {self._where}."))
            else:
                letter.settle()

    def _returned(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Mark what nobody takes; its confirmation follows."""
        name = (method.exchange, method.routing_key, properties.message_id)
        for letter in self._unconfirmed.values():
            if not letter.returned and (letter.exchange, letter.key, letter.properties.message_id) == name:
                letter.returned = True
                return

    def _closed(self, channel: Any, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByBroker):
            self._refuse(reason)
        self._take_back()
        if self._connection is not None:
            self._link.later(AGAIN_S / 10, self._open)

    def _refuse(self, reason: Any) -> None:
        """Tell whose exchange is not there, or not for this user; others on the channel are sent again."""
        for tag, letter in list(self._unconfirmed.items()):
            if f"'{letter.exchange}'" in reason.reply_text:
                del self._unconfirmed[tag]
                if reason.reply_code == NOT_FOUND:
                    letter.settle(Unroutable(f"{reason.reply_text} ({self._where}). Run `porelay topology apply`."))
                else:
                    letter.settle(
                        BrokerUnavailable(f"broker {self._where}: {reason.reply_text}. Check the user's rights.")
                    )

    def _take_back(self) -> None:
        self._channel = None
        with self._lock:
            self._outbox.extendleft(reversed(self._unconfirmed.values()))
        self._unconfirmed.clear()
