"""Drain, and disasters: the broker lost with all it held, the store put back to an older time."""

import json
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from cluster.conftest import SMALL, done, eventually

from deploy.operations import check_whole, lose, mesh_at, parked, rclone, script
from porelay_kit.runner import embedded
from porelay_kit.runner.state import RunState

STAGES = ("ingest", "preprocess")
SLOW = '''
import time

from porelay_schemas.base import Params
from porelay_schemas.filters import local


class SlowParams(Params):
    """How long it takes."""

    seconds: float = 3.0


@local(halo=lambda params: (0, 0, 0))
def slow(grey, params: SlowParams):
    """Take time."""
    time.sleep(params.seconds)
    return grey
'''


@pytest.fixture
def slow(tmp_path: Path, monkeypatch) -> str:
    """A folder with an installed plugin, the filter `slow`."""
    folder = tmp_path / "site"
    info = folder / "acme_slow-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[porelay.filter]\nslow = acme_slow:slow\n")
    (folder / "acme_slow.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(folder))
    return str(folder)


@pytest.mark.parametrize(("grace_s", "elsewhere"), [("25", False), ("1", True)])
def test_a_worker_that_is_drained_finishes_within_its_grace_or_its_message_goes_elsewhere(
    mesh, slow, grace_s, elsewhere
):
    (mesh.folder / "small.yaml").write_text(SMALL.replace("[min_max, gaussian]", "[slow]"))
    mesh.serve("ingest")
    leaving = mesh.serve("preprocess", PYTHONPATH=slow, PORELAY_GRACE_S=grace_s)
    told: list[str] = []
    mesh.broker.subscribe("run.", lambda key, body: told.append(key))
    state = mesh.begin(0)
    eventually("it is in hand", lambda: f"run.{state.run_id}.preprocess.began" in told, within_s=60, every_s=0.1)
    asked = time.monotonic()
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(30) == 0
    assert time.monotonic() - asked < float(grace_s) + 5
    assert done(state) != elsewhere
    if elsewhere:
        mesh.serve("preprocess", PYTHONPATH=slow)
    eventually("the run is done", lambda: done(state), within_s=60)
    assert not parked(mesh, *STAGES)


@pytest.mark.slow
def test_a_broker_that_comes_back_empty_is_set_up_and_filled_again_while_workers_wait(mesh, rabbit):
    mesh.environment["PORELAY_AMQP_MANAGEMENT_URL"] = rabbit.management_url
    states = [mesh.begin(number) for number in range(12)]
    mesh.serve(*STAGES)
    eventually("some are done", lambda: sum(map(done, states)) >= 2, within_s=60)
    lose(rabbit, mesh.settings.amqp_url.get_secret_value())
    assert not all(map(done, states)), "all was done before the broker was lost"
    applied = mesh.command("topology", "apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    asked = mesh.command("reconcile")
    assert asked.returncode == 0, asked.stderr
    eventually("all runs are done", lambda: all(map(done, states)), within_s=90)
    assert check_whole(mesh.store) == len(states) * len(STAGES)
    assert json.loads(mesh.command("reconcile", "--json").stdout)["asked"] == []
    assert not parked(mesh, *STAGES)


@pytest.mark.slow
def test_after_the_store_went_back_in_time_the_broker_s_newer_messages_do_no_harm(bucket_mesh, ceph, tmp_path):
    mesh, vault = bucket_mesh, ceph.new_bucket()
    known = mesh.begin(0)
    site = mesh.settings.s3_url.rpartition("/")[2]
    saved = script("backup.sh", f"site:{site}", f"vault:{vault}", environment=rclone(ceph))
    assert saved.returncode == 0, saved.stderr
    newer = [mesh.begin(number) for number in (1, 2)]
    worker = mesh.serve("ingest")
    everything = [known, *newer]
    eventually("ingest is done", lambda: all("ingest" in state.results() for state in everything), within_s=60)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    unread = mesh.begin(3)

    into = ceph.new_bucket()
    restored = script("restore.sh", f"vault:{vault}", f"site:{into}", environment=rclone(ceph))
    assert restored.returncode == 0, restored.stderr
    amqp_url = mesh.settings.amqp_url.get_secret_value()
    with closing(mesh_at(ceph, tmp_path / "new", amqp_url, f"{ceph.url}/{into}")) as new:
        new.serve(*STAGES)
        eventually("what nobody knows is parked", lambda: len(parked(new, *STAGES)) == 3, within_s=60)
        for state in (*newer, unread):
            assert sum(f"BadInput: run '{state.run_id}': not in {ceph.url}/{into}" in text
                       for text in parked(new, *STAGES)) == 1  # fmt: skip
        back = RunState(new.store, known.run_id)
        assert "preprocess" in back.waiting(), "its input is not there any more: it is put off"
        asked = new.command("reconcile")
        assert f"{known.run_id}  asked for ingest" in asked.stdout, asked.stderr
        eventually("the run of the backup is done", lambda: done(back), within_s=90)
        assert list(json.loads(new.command("status", "--json").stdout)["runs"]) == [known.run_id]
        dropped = new.command("dlq", "drop", "--error", "BadInput")
        assert "3 dead letters dropped" in dropped.stdout
        time.sleep(1)
        assert not parked(new, *STAGES)
        assert check_whole(new.store) == len(STAGES)


def test_an_artifact_that_is_damaged_is_made_again_under_its_key(bucket_mesh, ceph):
    mesh = bucket_mesh
    state = mesh.begin(0)
    embedded.run(state, mesh.settings)
    before, bucket = state.results()["preprocess"], mesh.settings.s3_url.rpartition("/")[2]
    for key in (f"{before.artifact.prefix}/manifest.json", f"{state.prefix}/results/preprocess.json"):
        ceph.client().remove_object(bucket_name=bucket, object_name=key)
    asked = mesh.command("reconcile")
    assert f"{state.run_id}  asked for preprocess" in asked.stdout, asked.stderr
    embedded.run(state, mesh.settings)
    assert state.results()["preprocess"].artifact == before.artifact
    assert check_whole(mesh.store) == len(STAGES)
