"""A worker among others: it tells every ten seconds that it is there, and answers who asks what it holds."""

import itertools
import json
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from porelay_kit.broker.base import Broker
from porelay_kit.runner.history import Spot, spot_of
from porelay_schemas.errors import BrokerUnavailable

ALIVE_S = 10.0
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Held:
    """What a worker has in hand, since when; `run_id` is None where the message does not say."""

    stage: str
    run_id: str | None
    since: datetime


class Presence:
    """The heartbeat of a worker. It answers from a thread of its own, since the broker calls listeners from its."""

    def __init__(
        self,
        stages: tuple[str, ...],
        broker: Broker,
        held: Callable[[], Held | None],
        look: Callable[[str], None],
    ) -> None:
        self.instance = instance()
        self._stages, self._broker, self._held, self._look = stages, broker, held, look
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._tell, name="presence", daemon=True)

    def __enter__(self) -> Self:
        with suppress(BrokerUnavailable):
            self._broker.subscribe("control.", self._hear)
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._asked.put("end")
        self._thread.join(timeout=1)

    def _hear(self, key: str, body: bytes) -> None:
        _, kind, name = [*key.split(".", 2), ""][:3]
        if kind == "run":
            self._look(name)
        elif kind == "all" or (kind == "stage" and name in self._stages):
            with suppress(ValueError, AttributeError):
                self._asked.put(str(json.loads(body).get("ask")))

    def _tell(self) -> None:
        due = time.monotonic()
        while True:
            try:
                asked = self._asked.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._emit("alive", self._states())
                due = time.monotonic() + ALIVE_S
                continue
            if asked == "end":
                return
            if asked == "holding":
                self._emit("holding", [{"holding": self._holding()}])

    def _states(self) -> list[dict[str, object]]:
        held = self._held()
        states: list[dict[str, object]] = []
        for stage in self._stages:
            if held is not None and held.stage == stage:
                since = held.since.isoformat()
                states.append({"stage": stage, "state": "working", "run_id": held.run_id, "since": since})
            else:
                states.append({"stage": stage, "state": "idle", "run_id": None, "since": None})
        return states

    def _holding(self) -> list[dict[str, str]]:
        """Return what is in hand, and what the broker has sent ahead for the other stages of this worker."""
        held = self._held()
        in_hand = [Spot(held.run_id, held.stage)] if held is not None and held.run_id else []
        ahead = [spot for body in self._broker.ahead() if (spot := spot_of(body))]
        return [spot._asdict() for spot in (*in_hand, *ahead)]

    def _emit(self, kind: str, bodies: list[dict[str, object]]) -> None:
        with suppress(BrokerUnavailable):
            for body in bodies:
                self._broker.emit(f"worker.{self.instance}.{kind}", json.dumps(body).encode())


def instance() -> str:
    """Return a name for a worker that no other has, fit for a key of an event."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{host}-{os.getpid()}-{next(_NUMBERS)}"
