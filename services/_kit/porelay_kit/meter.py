"""What a worker counts: Prometheus metrics. Labels are few and closed: a run's id is never one."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from importlib.metadata import version
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from pydantic import BaseModel

from porelay_kit.bench import Progress
from porelay_kit.broker.base import Delivery, Pulse
from porelay_kit.runner.state import Notes
from porelay_kit.runner.worker import Observer, Outcome, request_of
from porelay_kit.store.base import Store
from porelay_schemas.manifest import Run
from porelay_schemas.messages import AnyResult, Result
from porelay_schemas.volumes import VolumeRef

SECONDS = (0.01, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 14400)
STORE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
TRAINER = "slicegan-trainer"
TIMED = ("read", "write", "write_new", "exists", "list", "delete", "local", "keep_scratch", "scratch", "drop_scratch")


class Meter(Observer):
    """Counts what a worker does."""

    def __init__(self, stages: tuple[str, ...], pulse: Callable[[], Pulse]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._messages = Counter(
            "porelay_messages", "Deliveries by how they ended", ["service", "outcome"], registry=registry
        )
        self._handler = Histogram(
            "porelay_handler_seconds", "Time with a delivery", ["service"], buckets=SECONDS, registry=registry
        )
        self._wait = Histogram(
            "porelay_queue_wait_seconds", "From first publish to start", ["service"], buckets=SECONDS, registry=registry
        )
        self._job = Histogram(
            "porelay_job_seconds", "From the drop to the end", ["recipe", "outcome"], buckets=SECONDS, registry=registry
        )
        self._voxels = Counter("porelay_voxels", "Voxels", ["service", "direction"], registry=registry)
        self.store_seconds = Histogram(
            "porelay_store_seconds", "Calls of the store", ["op", "outcome"], buckets=STORE_SECONDS, registry=registry
        )
        self.store_bytes = Counter("porelay_store_bytes", "Bytes of objects", ["op"], registry=registry)
        Gauge("porelay_build_info", "Always 1", ["version"], registry=registry).labels(version("porelay-kit")).set(1)
        self._show_pulse(stages, pulse)
        self._training = _Training(registry) if TRAINER in stages else None
        for stage in stages:
            for outcome in ("ok", "skipped", "sliced", "cancelled", "retried", "dead", "lost"):
                self._messages.labels(stage, outcome)

    def _show_pulse(self, stages: tuple[str, ...], pulse: Callable[[], Pulse]) -> None:
        active = Gauge("porelay_consumer_active", "Whether it consumes", ["service"], registry=self.registry)
        tick = Gauge(
            "porelay_loop_tick_timestamp_seconds", "Last round of the I/O loop", ["service"], registry=self.registry
        )
        for stage in stages:
            active.labels(stage).set_function(lambda: float(pulse().consuming))
            tick.labels(stage).set_function(lambda: time.time() - pulse().tick_age_s)

    def began(self, delivery: Delivery) -> None:
        """Measure how long it waited."""
        if delivery.first_seen is not None:
            waited = (datetime.now(UTC) - delivery.first_seen).total_seconds()
            self._wait.labels(delivery.stage).observe(max(0.0, waited))
        if self._training:
            self._training.began()

    def progress(self, progress: Progress) -> None:
        """Count steps of training, and show its figures."""
        if self._training and progress.stage == TRAINER:
            self._training.progress(progress)

    def ended(self, delivery: Delivery, outcome: Outcome, seconds: float, detail: object) -> None:
        """Count how it ended."""
        self._messages.labels(delivery.stage, outcome).inc()
        self._handler.labels(delivery.stage).observe(seconds)
        if outcome == "ok" and isinstance(detail, Result):
            self._voxels.labels(delivery.stage, "in").inc(_voxels(request_of(delivery)))
            self._voxels.labels(delivery.stage, "out").inc(_voxels(cast(AnyResult, detail)))
        if self._training and delivery.stage == TRAINER:
            self._training.ended(seconds)

    def run_ended(self, run: Run, notes: Notes) -> None:
        """Measure how long the run took."""
        seconds = (datetime.now(UTC) - run.created).total_seconds()
        self._job.labels(run.plan_name, "failed" if notes.failed else "done").observe(max(0.0, seconds))

    def checkpoint_kept(self) -> None:
        """Note that a checkpoint was kept."""
        if self._training:
            self._training.kept = time.monotonic()


class _Training:
    """The figures of a training."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._steps = Counter("porelay_train_steps", "Steps that were made here", registry=registry)
        self._slice = Gauge("porelay_train_slice_seconds", "Length of the last slice", registry=registry)
        self._figures = {
            "wasserstein": Gauge("porelay_train_critic_wasserstein", "Latest estimate", registry=registry),
            "penalty": Gauge("porelay_train_gradient_penalty", "Latest value", registry=registry),
        }
        age = Gauge("porelay_checkpoint_age_seconds", "Since one was kept, 0 where none trains", registry=registry)
        age.set_function(lambda: time.monotonic() - self.kept if self._step is not None else 0.0)
        self._step: float | None = None
        self.kept = 0.0

    def began(self) -> None:
        self._step, self.kept = None, time.monotonic()

    def progress(self, progress: Progress) -> None:
        if self._step is not None:
            self._steps.inc(max(0.0, progress.done - self._step))
        self._step = progress.done
        for name, gauge in self._figures.items():
            if name in progress.figures:
                gauge.set(progress.figures[name])

    def ended(self, seconds: float) -> None:
        self._step = None
        self._slice.set(seconds)


def _voxels(model: BaseModel) -> int:
    """Return the voxels of all volumes that a message points at."""
    values = [value for _, value in model]
    flat = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return sum(one.voxels for one in flat if isinstance(one, VolumeRef))


def metered(store: Store, meter: Meter) -> Store:
    """Return the store with its calls timed."""
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
        if name == "read":
            self._meter.store_bytes.labels(name).inc(len(answer))
        elif name in ("write", "write_new"):
            self._meter.store_bytes.labels(name).inc(len(args[1]))
        elif name == "keep_scratch":
            self._meter.checkpoint_kept()
