"""What a worker that trains shows of the training: its figures, its steps, and how old its newest checkpoint is."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from porelay_kit.bench import Progress

TRAINER = "slicegan-trainer"


class TrainingMeter:
    """The metrics of a training; one trains at a time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._steps = Counter("porelay_train_steps", "Steps that were made here", registry=registry)
        self._share = Gauge("porelay_train_progress_ratio", "Steps made of those planned", registry=registry)
        self.budget = Gauge("porelay_checkpoint_budget_seconds", "Between checkpoints, at most", registry=registry)
        self._slice = Gauge("porelay_train_slice_seconds", "Length of the last slice", registry=registry)
        self._figures = {
            "wasserstein": Gauge("porelay_train_critic_wasserstein", "Latest estimate", registry=registry),
            "penalty": Gauge("porelay_train_gradient_penalty", "Latest value", registry=registry),
        }
        self._age(registry, "porelay_checkpoint_age_seconds", "Of the newest checkpoint", lambda: self._written)
        self._age(registry, "porelay_checkpoint_kept_age_seconds", "Since one was kept in the store", lambda: self.kept)
        self._step: float | None = None
        self._began: float | None = None
        self.kept = 0.0
        self.scratch: Path | None = None
        """Where the training keeps its checkpoints."""

    def _age(self, registry: CollectorRegistry, name: str, text: str, at: Callable[[], float]) -> None:
        """Show how long ago that was, or the training began where it was not yet; 0 where none trains."""
        gauge = Gauge(name, f"{text}, 0 where none trains", registry=registry)
        gauge.set_function(lambda: 0.0 if self._began is None else max(0.0, time.time() - (at() or self._began)))

    @property
    def _written(self) -> float:
        """When the newest checkpoint was written, 0 where there is none."""
        return _newest(self.scratch) if self.scratch else 0.0

    def began(self) -> None:
        """Note that a slice has begun."""
        self._step, self._began, self.kept, self.scratch = None, time.time(), 0.0, None

    def progress(self, progress: Progress) -> None:
        """Count the steps since the last progress of this slice, and show the figures."""
        if self._step is not None:
            self._steps.inc(max(0.0, progress.done - self._step))
        self._step = progress.done
        self._share.set(progress.done / progress.total if progress.total else 0.0)
        for name, gauge in self._figures.items():
            if name in progress.figures:
                gauge.set(progress.figures[name])

    def ended(self, seconds: float) -> None:
        """Note that the slice is over."""
        self._step = self._began = self.scratch = None
        self._slice.set(seconds)


def _newest(folder: Path) -> float:
    """Return when the newest file of a folder was written, those that are being written left out; 0 without any."""
    newest = 0.0
    for path in folder.glob("[!.]*"):
        try:
            newest = max(newest, 0.0 if path.suffix == ".tmp" else path.stat().st_mtime)
        except FileNotFoundError:
            continue  # an old one, deleted meanwhile
    return newest


def gpu_bytes() -> float:
    """Return the bytes of GPU memory that this process has taken, 0 where it uses none; loads nothing.

    Another thread may be loading torch just now: what is not there yet is not used either.
    """
    cuda = sys.modules.get("torch.cuda")
    if cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
        return 0.0
    return float(sum(cuda.memory_reserved(device) for device in range(cuda.device_count())))
