"""What a user at a desk does, on a real bucket and a real broker; nobody works."""

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest
import tifffile
from made import ALL, PLAN, finish, stack

from porelay_kit import planning
from porelay_kit.broker import open_broker
from porelay_kit.runner.presence import Held, Presence
from porelay_kit.runner.reconcile import reconcile
from porelay_kit.runner.state import run_ids, stack_ref, start
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_schemas.errors import BadInput

from .conftest import eventually


@pytest.fixture
def files(tmp_path):
    """A stack, slices and a plan on a user's disk."""
    (tmp_path / "my scan.tif").write_bytes(b"stack")
    (tmp_path / "forked.yaml").write_text(PLAN)
    (tmp_path / "slices").mkdir()
    for number in range(40):
        (tmp_path / "slices" / f"s{number:03}.tif").write_bytes(b"%d" % number)
    return tmp_path


@pytest.fixture
def forked_run(mesh):
    return lambda number: start(mesh.store, planning.parse(PLAN, "forked"), stack(number))


def answer(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def bucket(ceph, files, monkeypatch):
    """A bucket as the store, and no broker."""
    monkeypatch.delenv("PORELAY_AMQP_URL", raising=False)
    monkeypatch.setenv("PORELAY_S3_URL", f"{ceph.url}/{ceph.new_bucket()}")
    monkeypatch.setenv("PORELAY_S3_ACCESS_KEY", ceph.access_key)
    monkeypatch.setenv("PORELAY_S3_SECRET_KEY", ceph.secret_key)
    monkeypatch.setenv("PORELAY_CACHE", str(files / "cache"))
    return open_store(Settings.from_env())


def porelay(*words):
    command = [sys.executable, "-m", "porelay_kit", *map(str, words), "--json"]
    return answer(subprocess.run(command, capture_output=True, text=True, check=False))


def test_drops_report_and_status_on_a_bucket(bucket, files):
    plan = files / "forked.yaml"
    first = porelay("submit", files / "my scan.tif", "--plan", plan)
    (files / "my scan.tif").write_bytes(b"other")
    second = porelay("submit", files / "my scan.tif", "--plan", plan)
    assert bucket.read(first["drop"]) == b"stack" and bucket.read(second["drop"]) == b"other"
    slices = porelay("submit", files / "slices", "--plan", plan)
    keys = [key for key in bucket.list(slices["drop"]) if not key.endswith("_complete.json")]
    assert len(keys) == 40 and bucket.exists(f"{slices['drop']}/_complete.json")

    state = start(bucket, planning.load(str(plan)), stack_ref(files / "my scan.tif"))
    finish(state, "ingest")
    state.failed("preprocess", BadInput("no"))
    assert porelay("status", state.run_id)["stages"]["preprocess"]["state"] == "failed"
    assert porelay("status")["runs"][state.run_id]["done"] == ["ingest"]
    out = files / "report.html"
    told = porelay("report", state.run_id, "--out", out)
    assert told["report"] == f"{bucket.url}/runs/{state.run_id}/report.html" and b"<html" in out.read_bytes()


def test_what_a_wiped_broker_lost_is_asked_for_once_parked_and_replayed(mesh):
    states = [mesh.begin(number) for number in range(3)]
    with closing(open_broker(mesh.settings)) as worker:
        for _ in states:
            worker.park(worker.get(("ingest",), 10), BadInput("not today"))
    listed = answer(mesh.command("dlq", "list", "--json"))
    assert sorted(letter["run_id"] for letter in listed) == sorted(state.run_id for state in states)
    assert answer(mesh.command("dlq", "list", "--json")) == listed
    assert answer(mesh.command("reconcile", "--json"))["asked"] == []

    one = states[0].run_id
    answer(mesh.command("dlq", "replay", "--run", one, "--json"))
    assert [json.loads(body)["run_id"] for body in mesh.broker.waiting("ingest")] == [one]
    assert len(answer(mesh.command("dlq", "list", "--json"))) == 2
    answer(mesh.command("dlq", "drop", "--all", "--json"))
    asked = answer(mesh.command("reconcile", "--json"))
    assert sorted(spot["run_id"] for spot in asked["asked"]) == sorted(state.run_id for state in states[1:])
    assert [spot["run_id"] for spot in asked["queued"]] == [one]
    assert answer(mesh.command("reconcile", "--json"))["asked"] == []
    assert len(mesh.broker.waiting("ingest")) == 3


def test_what_was_sent_ahead_to_a_worker_of_two_stages_is_not_missing(mesh, forked_run):
    first, second = mesh.begin(1), forked_run(2)
    finish(second, "ingest")
    reconcile(mesh.store, mesh.broker, [second.run_id])
    with closing(open_broker(mesh.settings)) as inner:
        delivery = inner.get(("preprocess", "ingest"), 10)
        eventually("the other one was sent ahead", inner.ahead, within_s=5)
        held = Held(delivery.stage, json.loads(delivery.body)["run_id"], datetime.now(UTC))
        with Presence(("preprocess", "ingest"), inner, lambda: held, lambda run_id: None):
            account = reconcile(mesh.store, mesh.broker)
    # What was sent ahead goes back to its queue after a second of work on the other: it is held, or it waits.
    found = {*account.held, *account.queued}
    assert not account.asked and found == {(first.run_id, "ingest"), (second.run_id, "preprocess")}


def test_a_broker_that_is_away_is_exit_code_3_and_no_harm_to_status(mesh):
    away = {"PORELAY_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/"}
    state = mesh.begin(1)
    assert mesh.command("dlq", "list", **away).returncode == 3
    assert mesh.command("reconcile", **away).returncode == 3
    told = mesh.command("status", state.run_id, **away)
    assert told.returncode == 0 and "Going by the store alone" in told.stderr


@pytest.mark.slow
def test_a_submitted_stack_is_watched_to_its_end_or_its_rejection(mesh, tmp_path):
    mesh.serve("ingest", "preprocess", PORELAY_SWEEP_S="1")
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "s.tif", rng.integers(0, 255, (8, 16, 16), dtype=np.uint8))
    (tmp_path / "bad.tif").write_bytes(b"II*\0 no more")
    words = ("--plan", tmp_path / "small.yaml", "--voxel-um", "0.05", "--wait")
    good = mesh.command("submit", tmp_path / "s.tif", *words)
    assert good.returncode == 0, (good.stderr, mesh.logs())
    assert "preprocess        done" in good.stderr and "report: " in good.stdout
    (run_id,) = run_ids(mesh.store)
    assert good.stdout.startswith(run_id) and mesh.command("watch", run_id).returncode == 0
    bad = mesh.command("submit", tmp_path / "bad.tif", *words)
    assert bad.returncode == 2 and "'inbox/small/bad.tif' was rejected: bad.tif: " in bad.stderr
    assert "inbox/small/bad.tif" in mesh.command("status").stdout


@pytest.mark.slow
def test_watching_outlives_the_loss_of_the_broker(mesh, rabbit, forked_run):
    state = forked_run(3)
    finish(state, "ingest")
    words = [sys.executable, "-m", "porelay_kit", "watch", state.run_id]
    environment = os.environ | mesh.environment
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert "ingest            done" in watching.stderr.readline()
        rabbit.restart()
        assert watching.poll() is None
        finish(state, *ALL)
        state.store.write(f"{state.prefix}/report.html", b"report")
        said, _ = watching.communicate(timeout=30)
    assert watching.returncode == 0 and "report: " in said
