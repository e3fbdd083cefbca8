"""A store whose calls are timed and counted."""

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

from porelay_kit.meter import Meter
from porelay_kit.store.base import Store

TIMED = (
    "read",
    "write",
    "write_new",
    "exists",
    "list",
    "delete",
    "upload",
    "local",
    "local_folder",
    "keep_scratch",
    "scratch",
    "drop_scratch",
)


def metered(store: Store, meter: Meter) -> Store:
    """Return the store with its calls timed; what tensorstore reads and writes of arrays passes it by."""
    return cast(Store, _Metered(store, meter))


class _Metered:
    def __init__(self, store: Store, meter: Meter) -> None:
        self._store, self._meter = store, meter
        for name in TIMED:
            setattr(self, name, self._timed(name, getattr(store, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        meter = self._meter

        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began, outcome = time.perf_counter(), "ok"
            try:
                answer = call(*args, **kwargs)
            except KeyError:
                outcome = "absent"
                raise
            except Exception:
                outcome = "failed"
                raise
            finally:
                meter.store_seconds.labels(name, outcome).observe(time.perf_counter() - began)
            self._count(name, args, answer)
            return answer

        return timed

    def _count(self, name: str, args: tuple[Any, ...], answer: Any) -> None:
        size = {
            "read": lambda: len(answer),
            "write": lambda: len(args[1]),
            "write_new": lambda: len(args[1]),
            "upload": lambda: Path(args[0]).stat().st_size,
        }
        if name in size:
            self._meter.store_bytes.labels(name).inc(size[name]())
        elif name == "scratch":
            self._meter.checkpoints_lie_in(answer)
        elif name == "keep_scratch":
            self._meter.checkpoint_kept()
