"""What the user asks of a run while a stage works on it."""

import math
import time
from collections.abc import Callable
from contextlib import suppress

from porelay_schemas.errors import StoreUnavailable


class Throttled:
    """Asks the store a question now and then, and answers with the last answer in between; once yes, always yes.

    Where the store does not answer, the last answer stands: a short outage ends no training.
    """

    def __init__(self, look: Callable[[], bool], every_s: float) -> None:
        self._look, self._every_s = look, every_s
        self._looked, self._answer = -math.inf, False

    def __call__(self) -> bool:
        """Return the answer."""
        now = time.monotonic()
        if not self._answer and now - self._looked >= self._every_s:
            self._looked = now
            with suppress(StoreUnavailable):
                self._answer = self._look()
        return self._answer

    def at_once(self) -> None:
        """Ask the store the next time, however short ago it was asked."""
        self._looked = -math.inf
