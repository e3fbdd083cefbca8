import json
import os
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from made import finish

from porelay_kit.bench import Progress
from porelay_kit.broker.base import Delivery, Pulse
from porelay_kit.meter import Meter
from porelay_kit.meter_store import metered
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, StoreUnavailable

TRAINER = "slicegan-trainer"
PREFIX = f"artifacts/{TRAINER}/a"
AGE, KEPT = "porelay_checkpoint_age_seconds", "porelay_checkpoint_kept_age_seconds"
LIMIT = "porelay_in_hand_limit_seconds"


def meter_of(*stages):
    meter = Meter(stages, lambda: Pulse(0, 30, True, True))
    return meter, meter.registry.get_sample_value


def delivery(stage, body=b""):
    return Delivery(stage, body, 1, False, 1, datetime.now(UTC))


@pytest.fixture
def training(store):
    """A meter of a trainer that has begun, what it shows, and the store that it watches."""
    meter, value = meter_of(TRAINER)
    watched = metered(store, meter)
    meter.began(delivery(TRAINER))
    return meter, value, watched


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


def test_the_age_of_the_newest_checkpoint_is_that_of_its_file_also_from_an_earlier_slice(training):
    meter, value, watched = training
    folder = watched.scratch(PREFIX)
    for name, seconds in (("step-000000200.safetensors", 900), ("step-000000400.safetensors", 600)):
        (folder / name).write_bytes(b"")
        age(folder / name, seconds)
    (folder / ".seconds").write_text("1")
    (folder / "step-000000600.tmp").write_bytes(b"half")
    assert value(AGE) == pytest.approx(600, abs=5)
    (folder / "step-000000600.safetensors").write_bytes(b"")
    assert value(AGE) < 5
    meter.ended(delivery(TRAINER), "ok", 3.0, None)
    assert value(AGE) == 0


def test_the_limits_of_what_is_in_hand_are_shown_as_they_are_set():
    meter, value = meter_of("ingest", "segment", TRAINER)
    meter.show_limits(
        ("ingest", "segment", TRAINER), Settings(isolated_limit_s=100.0, stage_limit_s=200.0, checkpoint_s=30.0)
    )
    limits = {stage: value(LIMIT, {"service": stage}) for stage in ("ingest", "segment", TRAINER)}
    assert limits == {"ingest": 100, "segment": 200, TRAINER: 200}
    assert value("porelay_checkpoint_budget_seconds") == 30


def test_a_training_without_a_checkpoint_is_as_old_as_it_runs(training, monkeypatch):
    _, value, watched = training
    watched.scratch(PREFIX)
    later = time.time() + 300
    monkeypatch.setattr("time.time", lambda: later)
    assert value(AGE) == pytest.approx(300, abs=5) == value(KEPT)


def test_a_checkpoint_that_lies_here_only_is_not_kept(training, monkeypatch):
    _, value, watched = training
    watched.keep_scratch(PREFIX)
    later = time.time() + 300
    monkeypatch.setattr("time.time", lambda: later)
    path = watched.scratch(PREFIX) / "step-1.safetensors"
    path.write_bytes(b"")
    os.utime(path, (later, later))
    assert value(AGE) < 5 and value(KEPT) == pytest.approx(300, abs=5)


def test_the_share_of_a_training_is_shown(training):
    meter, value, _ = training
    meter.progress(Progress(TRAINER, 25, 100, 1.0, {}))
    assert value("porelay_train_progress_ratio") == 0.25


def test_what_is_in_hand_is_shown_with_how_long(monkeypatch):
    meter, value = meter_of("ingest", "segment")
    meter.began(delivery("segment"))
    later = time.monotonic() + 40
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert (
        value("porelay_in_hand", {"service": "segment"}) == 1 and value("porelay_in_hand", {"service": "ingest"}) == 0
    )
    assert value("porelay_in_hand_seconds", {"service": "segment"}) == pytest.approx(40, abs=2)
    meter.ended(delivery("segment"), "cancelled", 1.0, None)
    assert (
        value("porelay_in_hand", {"service": "segment"})
        == value("porelay_in_hand_seconds", {"service": "segment"})
        == 0
    )


def test_failures_are_counted_by_class_and_foreign_ones_as_defects():
    meter, value = meter_of("segment")
    for outcome, error in (
        ("dead", BadInput("no")),
        ("retried", StoreUnavailable("away")),
        ("retried", OSError("odd")),
    ):
        meter.ended(delivery("segment"), outcome, 1.0, error)
    meter.ended(delivery("segment"), "lost", 1.0, BadInput("comes again"))
    found = {
        kind: value("porelay_errors_total", {"service": "segment", "error": kind}) for kind in ("BadInput", "defect")
    }
    assert found == {"BadInput": 1, "defect": 1}
    assert value("porelay_errors_total", {"service": "segment", "error": "StoreUnavailable"}) == 1
    assert value("porelay_errors_total", {"service": "segment", "error": "OSError"}) is None


def test_bytes_are_those_of_stacks_files_and_uncompressed_volumes(make_run):
    meter, value = meter_of("ingest")
    state = make_run(1)
    finish(state, "ingest")
    run, result = state.run(), state.result("ingest")
    request = {
        "schema_version": 1,
        "stage": "ingest",
        "run_id": run.run_id,
        "plan": run.plan,
        "phases": [phase.model_dump(mode="json") for phase in state.plan().phases],
        "stack": run.stack.model_dump(mode="json"),
        "use": [],
    }
    meter.ended(delivery("ingest", json.dumps(request).encode()), "ok", 1.0, result)
    into = value("porelay_bytes_total", {"service": "ingest", "direction": "in"})
    out = value("porelay_bytes_total", {"service": "ingest", "direction": "out"})
    assert into == run.stack.size_bytes
    assert out >= value("porelay_voxels_total", {"service": "ingest", "direction": "out"}) > 0


def test_gpu_memory_is_that_of_all_devices_and_torch_is_not_loaded_for_it(monkeypatch):
    _, value = meter_of("segment")
    for name in ("torch", "torch.cuda"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert value("porelay_gpu_memory_bytes") == 0 and "torch" not in sys.modules
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 2, memory_reserved=lambda device: 100 + device
    )
    monkeypatch.setitem(sys.modules, "torch.cuda", cuda)
    assert value("porelay_gpu_memory_bytes") == 201


def test_metrics_are_shown_while_another_thread_is_loading_torch(monkeypatch):
    _, value = meter_of("segment")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torch.cuda", SimpleNamespace())
    assert value("porelay_gpu_memory_bytes") == 0
