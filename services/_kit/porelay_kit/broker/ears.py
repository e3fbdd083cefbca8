"""Events and commands: told to whoever listens, and forgotten."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from porelay_kit.broker import link
from porelay_kit.broker.press import AGAIN_S

COMMANDS = "control."
MOST_EVENTS = 10_000
ARGUMENTS = {"x-max-length": 1000}

Listener = Callable[[str, bytes], None]


@dataclass(eq=False)
class _Wish:
    """Somebody who listens, and on which channel; `heard` tells when the server knows."""

    prefix: str
    listener: Listener
    channel: Any = None
    heard: "Future[None]" = field(default_factory=Future)


class Ears:
    """A channel to tell, another to listen; listeners are called from a thread of their own, one after the other."""

    def __init__(self, bond: link.Link) -> None:
        self._link = bond
        self._wishes: list[_Wish] = []
        self._told: queue.Queue[tuple[Listener, str, bytes] | None] = queue.Queue(MOST_EVENTS)
        self._teller: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connection: Any = None
        self._voice: Any = None
        self._unsaid: deque[tuple[str, str, bytes]] = deque(maxlen=MOST_EVENTS)
        self._ear: Any = None

    def emit(self, key: str, body: bytes) -> None:
        """Tell whoever listens. Raises BrokerUnavailable for a command that there is no connection for."""
        exchange, name = _place(key)
        post = self._link.post_soon if key.startswith("run.") else self._link.post
        if not post(partial(self._say, exchange, name, body)) and exchange == "control":
            raise self._link.refusal()

    def _say(self, exchange: str, name: str, body: bytes) -> None:
        if self._link.alarm and exchange == "events":
            return  # the server does not read: events would only pile up here
        if self._voice is None:
            self._unsaid.append((exchange, name, body))
        else:
            self._voice.basic_publish(exchange, name, body)

    def subscribe(self, prefix: str, listener: Listener, within_s: float) -> None:
        """Listen, from now on and on every connection; raise BrokerUnavailable where that cannot begin in time."""
        wish = _Wish(prefix, listener)
        with self._lock:
            self._wishes.append(wish)
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell, name="events", daemon=True)
                self._teller.start()
        self._link.post(partial(self._listen, wish))
        try:
            wish.heard.result(within_s)
        except FutureTimeout:
            raise self._link.refusal() from None

    def close(self) -> None:
        """Call nobody any more."""
        if self._teller is not None:
            with suppress(queue.Full):
                self._told.put_nowait(None)

    def opened(self, connection: Any) -> None:
        """Tell and listen on a new connection."""
        self._connection = connection
        self._open_voice()
        self._open_ear()

    def each_round(self) -> None:
        """Do nothing: all is done when it comes."""

    def lost(self) -> None:
        """Wait for the next connection."""
        self._connection = self._voice = self._ear = None

    def _open_voice(self) -> None:
        self._connection.channel(on_open_callback=self._speak)

    def _speak(self, channel: Any) -> None:
        self._voice = channel
        while self._unsaid:
            channel.basic_publish(*self._unsaid.popleft())
        channel.add_on_close_callback(self._voice_closed)

    def _voice_closed(self, channel: Any, reason: Exception) -> None:
        self._voice = None
        self._link.later(AGAIN_S, self._open_voice)

    def _open_ear(self) -> None:
        self._connection.channel(on_open_callback=self._hearken)

    def _hearken(self, channel: Any) -> None:
        self._ear = channel
        channel.add_on_close_callback(self._ear_closed)
        with self._lock:
            wishes = list(self._wishes)
        for wish in wishes:
            self._listen(wish)

    def _ear_closed(self, channel: Any, reason: Exception) -> None:
        self._ear = None
        self._link.later(AGAIN_S, self._open_ear)

    def _listen(self, wish: _Wish) -> None:
        channel = self._ear
        if channel is None or wish.channel is channel:  # who listens already would hear all twice
            return
        wish.channel = channel

        def declared(frame: Any) -> None:
            name = frame.method.queue
            for exchange, pattern in _bindings(wish.prefix):
                channel.queue_bind(name, exchange, pattern)
            channel.basic_consume(name, partial(self._hear, wish), auto_ack=True, callback=begun)

        def begun(frame: Any) -> None:
            with suppress(InvalidStateError):
                wish.heard.set_result(None)

        channel.queue_declare("", exclusive=True, auto_delete=True, arguments=ARGUMENTS, callback=declared)

    def _hear(self, wish: _Wish, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        key = method.routing_key if method.exchange == "events" else COMMANDS + method.routing_key
        if key.startswith(wish.prefix):
            with suppress(queue.Full):
                self._told.put_nowait((wish.listener, key, body))

    def _tell(self) -> None:
        while (told := self._told.get()) is not None:
            listener, key, body = told
            try:
                listener(key, body)
            except Exception:  # one listener's defect must not silence the others
                logging.getLogger(__name__).exception("a listener failed on %s", key)


def _place(key: str) -> tuple[str, str]:
    """Return the exchange of an event or command, and its routing key there."""
    return ("control", key.removeprefix(COMMANDS)) if key.startswith(COMMANDS) else ("events", key)


def _bindings(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield where what begins with a prefix comes from, and the pattern there that is nearest to it."""
    if prefix.startswith(COMMANDS) or COMMANDS.startswith(prefix):
        yield "control", _pattern(prefix[len(COMMANDS) :])
    if not prefix.startswith(COMMANDS):
        yield "events", _pattern(prefix)


def _pattern(prefix: str) -> str:
    """Return the topic pattern for the whole words of a prefix."""
    words = prefix.rpartition(".")[0]
    return f"{words}.#" if words else "#"
