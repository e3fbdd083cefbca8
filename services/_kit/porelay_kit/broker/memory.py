"""The bus in memory, for the embedded mode and for tests. Thread-safe; the same contract as the real one's."""

import heapq
import itertools
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from porelay_kit.broker.base import (
    DELIVERY_LIMIT,
    MAX_BODY_BYTES,
    RETRY_LADDER_S,
    DeadLetter,
    Delivery,
    Drop,
    Unroutable,
    Verdict,
    delay_of,
    too_big,
)


@dataclass
class _Held:
    delivery: Delivery
    returns: int


class MemoryBroker:
    """Queues, a retry ladder and dead letters of one process."""

    def __init__(
        self,
        stages: Iterable[str],
        *,
        retry_ladder_s: tuple[float, ...] = RETRY_LADDER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queues: dict[str, deque[_Held]] = {stage: deque() for stage in stages}
        self._dead: dict[str, list[DeadLetter]] = {stage: [] for stage in self._queues}
        self._late: list[tuple[float, int, _Held]] = []
        self._held: dict[int, _Held] = {}
        self._listeners: list[tuple[str, Callable[[str, bytes], None]]] = []
        self.retry_ladder_s, self._clock = retry_ladder_s, clock
        self._tags = itertools.count(1)
        self._changed = threading.Condition()

    def publish(self, stage: str, body: bytes) -> None:
        """Put a request on the queue of a stage."""
        if stage not in self._queues:
            raise Unroutable(f"no queue takes messages for stage {stage!r}. Known: {', '.join(self._queues)}.")
        if len(body) > MAX_BODY_BYTES:
            raise too_big(stage, body)
        with self._changed:
            self._append(stage, body, datetime.now(UTC))

    def _append(self, stage: str, body: bytes, first_seen: datetime | None) -> None:
        self._queues[stage].append(_Held(Delivery(stage, body, 1, False, next(self._tags), first_seen), 0))
        self._changed.notify_all()

    def get(self, stages: tuple[str, ...], timeout_s: float) -> Delivery | None:
        """Return the next message of these stages, None where none came in time."""
        deadline = self._clock() + timeout_s
        with self._changed:
            while True:
                self._wake_late()
                for stage in stages:
                    if self._queues[stage]:
                        return self._hand_out(stage)
                left = deadline - self._clock()
                if left <= 0:
                    return None
                due = self._late[0][0] - self._clock() if self._late else left
                self._changed.wait(max(0.0, min(left, due)))

    def _hand_out(self, stage: str) -> Delivery:
        held = self._queues[stage].popleft()
        held.delivery = replace(held.delivery, tag=next(self._tags))
        self._held[held.delivery.tag] = held
        return held.delivery

    def _wake_late(self) -> None:
        while self._late and self._late[0][0] <= self._clock():
            _, _, held = heapq.heappop(self._late)
            self._queues[held.delivery.stage].append(held)

    def ahead(self) -> list[bytes]:
        """Return nothing: what is not handed out waits."""
        return []

    def ack(self, delivery: Delivery) -> None:
        """Finish a delivery; raise KeyError where it is not held (any more)."""
        with self._changed:
            del self._held[delivery.tag]

    def again(self, delivery: Delivery) -> None:
        """Put the same message at the end of its queue, as a first attempt, and finish this delivery."""
        with self._changed:
            del self._held[delivery.tag]
            self._append(delivery.stage, delivery.body, delivery.first_seen)

    def retry(self, delivery: Delivery, error: BaseException) -> bool:
        """Put a delivery off by its attempt's delay, or park it after the last; return whether it will come again."""
        delay = delay_of(self.retry_ladder_s, delivery.attempt, error)
        if delay is None:
            self.park(delivery, error)
            return False
        with self._changed:
            del self._held[delivery.tag]
            due = self._clock() + delay
            later = replace(delivery, attempt=delivery.attempt + 1, redelivered=False)
            heapq.heappush(self._late, (due, next(self._tags), _Held(later, 0)))
            self._changed.notify_all()
        return True

    def park(self, delivery: Delivery, error: BaseException) -> None:
        """Move a delivery to the dead letters, with the reason."""
        with self._changed:
            del self._held[delivery.tag]
            self._bury(delivery, type(error).__name__, str(error))

    def _bury(self, delivery: Delivery, error: str, text: str) -> None:
        letter = DeadLetter(
            uuid.uuid4().hex, delivery.stage, delivery.body, delivery.attempt, error, text, datetime.now(UTC)
        )
        self._dead[delivery.stage].append(letter)

    def lost(self, delivery: Delivery) -> None:
        """Take a delivery back from a worker that died with it; after the delivery limit it is parked."""
        with self._changed:
            held = self._held.pop(delivery.tag)
            held.returns += 1
            if held.returns >= DELIVERY_LIMIT:
                self._bury(delivery, "DeliveryLimit", f"a worker died with it {held.returns} times")
            else:
                held.delivery = replace(delivery, redelivered=True)
                self._queues[delivery.stage].appendleft(held)
            self._changed.notify_all()

    def waiting(self, stage: str) -> list[bytes]:
        """Return the bodies of the messages of a stage that wait or are put off."""
        with self._changed:
            put_off = [held for _, _, held in self._late if held.delivery.stage == stage]
            return [held.delivery.body for held in (*self._queues[stage], *put_off)]

    def dead_letters(self, stage: str) -> list[DeadLetter]:
        """Return the dead letters of a stage; they stay."""
        with self._changed:
            return list(self._dead[stage])

    def sift(self, stage: str, decide: Callable[[DeadLetter], Verdict]) -> int:
        """Send again, destroy or keep each dead letter of a stage; return how many left."""
        left = 0
        for letter in self.dead_letters(stage):
            verdict = decide(letter)
            if verdict is None:
                continue
            if verdict is not Drop:
                assert isinstance(verdict, bytes)
                self.publish(stage, verdict)
            with self._changed:
                self._dead[stage].remove(letter)
            left += 1
        return left

    def close(self) -> None:
        """Leave; what is held comes again to somebody."""
        with self._changed:
            held = [one.delivery for one in self._held.values()]
        for delivery in held:
            self.lost(delivery)

    def idle(self) -> bool:
        """Return whether nothing waits, nothing is put off and nothing is held."""
        with self._changed:
            return not (self._late or self._held or any(self._queues.values()))

    def emit(self, key: str, body: bytes) -> None:
        """Tell whoever listens."""
        for prefix, listener in list(self._listeners):
            if key.startswith(prefix):
                listener(key, body)

    def subscribe(self, prefix: str, listener: Callable[[str, bytes], None]) -> None:
        """Call `listener(key, body)` for events whose key begins with `prefix`."""
        self._listeners.append((prefix, listener))
