"""Who checks a drop: of several keepers of one inbox only one, since a big drop takes long.

A claim is an object beside the drop's record. Its keeper writes it anew while it works, so that the claim of a dead one
expires; that of a dead process of this machine is none at once. It saves work and nothing else: where two hold one
after all, the run that both start is the same.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from porelay_kit.runner.presence import instance
from porelay_kit.store.base import Store
from porelay_schemas.errors import StoreUnavailable
from porelay_schemas.intake import intake_key

SUFFIX = ".claim"
BEAT_S = 10.0
STALE_S = 45.0
"""A claim that was written no later than that is nobody's, as is one from the future: its writer's clock is wrong."""


class Claims:
    """The claims of one keeper."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._me = instance()

    @contextmanager
    def held(self, drop: str) -> Iterator[bool]:
        """Claim the drop of that key meanwhile; yield whether it is ours, and not another living keeper's."""
        key = intake_key(drop).removesuffix(".json") + SUFFIX
        if not self._take(key):
            yield False
            return
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(key, done), name="claim", daemon=True)
        thread.start()
        try:
            yield True
        finally:
            done.set()
            thread.join()
            with suppress(StoreUnavailable):
                if self._holder(key) == self._me:
                    self._store.delete(key)

    def tidy(self, key: str) -> None:
        """Delete a claim that a dead keeper left."""
        if self._holder(key) is None:
            self._store.delete(key)

    def _take(self, key: str) -> bool:
        if self._store.write_new(key, self._mark()):
            return True
        if self._holder(key) is not None:
            return False
        self._store.delete(key)
        return self._store.write_new(key, self._mark())

    def _holder(self, key: str) -> str | None:
        """Return who has a claim, None where nobody that lives."""
        with suppress(KeyError, ValueError, TypeError, AttributeError):
            mark = json.loads(self._store.read(key))
            died_here = mark.get("host") == socket.gethostname() and not psutil.pid_exists(mark["pid"])
            if abs(self._clock() - mark["at"]) <= STALE_S and not died_here:
                return str(mark["keeper"])
        return None

    def _beat(self, key: str, done: threading.Event) -> None:
        while not done.wait(BEAT_S):
            with suppress(StoreUnavailable):
                self._store.write(key, self._mark())

    def _mark(self) -> bytes:
        mark = {"keeper": self._me, "host": socket.gethostname(), "pid": os.getpid(), "at": self._clock()}
        return json.dumps(mark).encode()
