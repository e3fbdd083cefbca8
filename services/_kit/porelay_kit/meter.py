"""What a worker counts: Prometheus metrics. Labels are few and closed: a run's id is never one."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import cast, get_args

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from pydantic import BaseModel

from porelay_kit.bench import Progress
from porelay_kit.broker.base import Delivery, Pulse
from porelay_kit.meter_training import TRAINER, TrainingMeter, gpu_bytes
from porelay_kit.runner.state import Notes
from porelay_kit.runner.worker import Observer, Outcome, request_of
from porelay_kit.settings import Settings
from porelay_schemas.errors import PorelayError
from porelay_schemas.manifest import Run
from porelay_schemas.messages import AnyResult, Result
from porelay_schemas.route import isolated
from porelay_schemas.volumes import FileRef, StackRef, VolumeRef

SECONDS = (0.01, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 14400)
STORE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


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
        self._bytes = Counter(
            "porelay_bytes", "Files and uncompressed volumes", ["service", "direction"], registry=registry
        )
        self._errors = Counter(
            "porelay_errors",
            "Failures by class; what is none of ours is a defect",
            ["service", "error"],
            registry=registry,
        )
        self.store_seconds = Histogram(
            "porelay_store_seconds", "Calls of the store", ["op", "outcome"], buckets=STORE_SECONDS, registry=registry
        )
        self.store_bytes = Counter("porelay_store_bytes", "Bytes of objects", ["op"], registry=registry)
        Gauge("porelay_build_info", "Always 1", ["version"], registry=registry).labels(version("porelay-kit")).set(1)
        self._show_pulse(stages, pulse)
        self._show_hands(stages)
        Gauge("porelay_gpu_memory_bytes", "GPU memory that this process has taken", registry=registry).set_function(
            gpu_bytes
        )
        self._training = TrainingMeter(registry) if TRAINER in stages else None
        for stage in stages:
            for outcome in get_args(Outcome):
                self._messages.labels(stage, outcome)

    def _show_pulse(self, stages: tuple[str, ...], pulse: Callable[[], Pulse]) -> None:
        active = Gauge("porelay_consumer_active", "Whether it consumes", ["service"], registry=self.registry)
        tick = Gauge(
            "porelay_loop_tick_timestamp_seconds", "Last round of the I/O loop", ["service"], registry=self.registry
        )
        blocked = Gauge("porelay_broker_blocked", "Whether the broker takes no messages", registry=self.registry)
        blocked.set_function(lambda: float(bool(pulse().alarm)))
        for stage in stages:
            active.labels(stage).set_function(lambda: float(pulse().consuming))
            tick.labels(stage).set_function(lambda: time.time() - pulse().tick_age_s)

    def _show_hands(self, stages: tuple[str, ...]) -> None:
        """Show what is in hand, and for how long: the histogram hears of a delivery only when it ends."""
        self._held: tuple[str, float] | None = None
        held = Gauge("porelay_in_hand", "Deliveries in hand", ["service"], registry=self.registry)
        age = Gauge("porelay_in_hand_seconds", "How long, 0 if none is", ["service"], registry=self.registry)
        for stage in stages:
            held.labels(stage).set_function(partial(self._held_count, stage))
            age.labels(stage).set_function(partial(self._held_s, stage))

    def _held_count(self, stage: str) -> float:
        held = self._held
        return float(held is not None and held[0] == stage)

    def _held_s(self, stage: str) -> float:
        held = self._held
        return time.monotonic() - held[1] if held is not None and held[0] == stage else 0.0

    def show_limits(self, stages: tuple[str, ...], settings: Settings) -> None:
        """Show how long a delivery may be in hand, and a training go on without a checkpoint."""
        limit = Gauge("porelay_in_hand_limit_seconds", "How long one may be", ["service"], registry=self.registry)
        for stage in stages:
            limit.labels(stage).set(settings.isolated_limit_s if isolated(stage) else settings.stage_limit_s)
        if self._training:
            self._training.budget.set(settings.checkpoint_s)

    def began(self, delivery: Delivery) -> None:
        """Measure how long it waited."""
        if delivery.first_seen is not None:
            waited = (datetime.now(UTC) - delivery.first_seen).total_seconds()
            self._wait.labels(delivery.stage).observe(max(0.0, waited))
        self._held = delivery.stage, time.monotonic()
        if self._training and delivery.stage == TRAINER:
            self._training.began()

    def progress(self, progress: Progress) -> None:
        """Count steps of training, and show its figures."""
        if self._training and progress.stage == TRAINER:
            self._training.progress(progress)

    def ended(self, delivery: Delivery, outcome: Outcome, seconds: float, detail: object) -> None:
        """Count how it ended."""
        self._held = None
        self._messages.labels(delivery.stage, outcome).inc()
        self._handler.labels(delivery.stage).observe(seconds)
        if outcome == "ok" and isinstance(detail, Result):
            for direction, document in (("in", request_of(delivery)), ("out", cast(AnyResult, detail))):
                self._voxels.labels(delivery.stage, direction).inc(_voxels(document))
                self._bytes.labels(delivery.stage, direction).inc(_bytes(document))
        if outcome in ("retried", "dead"):
            kind = type(detail).__name__ if isinstance(detail, PorelayError) else "defect"
            self._errors.labels(delivery.stage, kind).inc()
        if self._training and delivery.stage == TRAINER:
            self._training.ended(seconds)

    def run_ended(self, run: Run, notes: Notes) -> None:
        """Measure how long the run took."""
        seconds = (datetime.now(UTC) - run.created).total_seconds()
        self._job.labels(run.plan_name, "failed" if notes.failed else "done").observe(max(0.0, seconds))

    def checkpoints_lie_in(self, folder: Path) -> None:
        """Note where a training keeps its checkpoints."""
        if self._training:
            self._training.scratch = folder

    def checkpoint_kept(self) -> None:
        """Note that a checkpoint was kept in the store."""
        if self._training:
            self._training.kept = time.time()


def _flat(model: BaseModel) -> Iterator[object]:
    """Yield what a message holds, and what its tuples and mappings hold."""
    for _, value in model:
        if isinstance(value, Mapping):
            yield from value.values()
        elif isinstance(value, tuple):
            yield from value
        else:
            yield value


def _voxels(model: BaseModel) -> int:
    """Return the voxels of all volumes that a message points at."""
    return sum(one.voxels for one in _flat(model) if isinstance(one, VolumeRef))


def _bytes(model: BaseModel) -> int:
    """Return the bytes of all that a message points at; volumes count as they are in memory."""
    volumes = sum(one.voxels * np.dtype(one.dtype).itemsize for one in _flat(model) if isinstance(one, VolumeRef))
    return volumes + sum(one.size_bytes for one in _flat(model) if isinstance(one, (StackRef, FileRef)))
