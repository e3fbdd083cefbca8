"""Back up and restore, as deploy/README.md tells it, on a real bucket and a real broker."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cluster.conftest import Mesh, done, eventually
from cluster.test_training import Steps
from cluster.test_training import begin as begin_training
from minio import Minio

from deploy.operations import (
    OPERATIONS,
    check_whole,
    content,
    empty_broker,
    mesh_at,
    parked,
    rclone,
    script,
)
from porelay_ingest.intake.completeness import Patience
from porelay_ingest.intake.keeper import Keeper
from porelay_ingest.intake.taking import Taker
from porelay_kit import planning
from porelay_kit.runner import embedded
from porelay_kit.runner.state import RunState, run_ids
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.base import Store

STAGES = ("ingest", "preprocess", "segment", "slicegan-trainer")
LAST_BEFORE_PUBLISHING = 5
"""The copy of a backup before which it is broken off: manifests are published, the runs that name them are not."""

WRAPPER = """\
#!/bin/sh
count=$(ls "$TURNS" | grep -c asked)
touch "$TURNS/asked.$count"
while [ ! -e "$TURNS/go.$count" ]; do sleep 0.02; done
exec {rclone} "$@"
"""


@pytest.fixture
def vault(ceph) -> str:
    return ceph.new_bucket()


@pytest.fixture
def at_vault(ceph, vault, tmp_path) -> Store:
    """The store as it lies in the vault."""
    keys = {"s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    return open_store(Settings(s3_url=f"{ceph.url}/{vault}", cache=tmp_path / "vault", **keys))


def bucket_of(mesh: Mesh) -> str:
    return mesh.settings.s3_url.rpartition("/")[2]


class Turns:
    """A backup that waits before each of its copies until it may go on."""

    def __init__(self, ceph, folder: Path, *words: str) -> None:
        self.turns = folder / "turns"
        self.turns.mkdir(parents=True)
        environment = rclone(ceph, TURNS=str(self.turns))
        environment["PATH"] = f"{folder}:{environment['PATH']}"
        (folder / "rclone").write_text(WRAPPER.format(rclone=shutil.which("rclone")))
        (folder / "rclone").chmod(0o755)
        command = [str(OPERATIONS / "backup.sh"), *words]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)

    def __iter__(self) -> Iterator[int]:
        """Yield before each copy."""
        for number in range(100):
            while not (self.turns / f"asked.{number}").exists():
                if self.process.poll() is not None:
                    return
                time.sleep(0.02)
            yield number
            (self.turns / f"go.{number}").touch()

    def close(self) -> None:
        """Break it off, where it is not over, and what it started with it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.slow
def test_whatever_is_committed_between_two_copies_the_vault_is_whole(bucket_mesh, ceph, vault, at_vault, tmp_path):
    mesh, made = bucket_mesh, iter(range(100))

    def commit() -> None:
        outcome = embedded.run(mesh.begin(next(made)), mesh.settings)
        assert not outcome.failures, outcome.failures

    commit()
    places, words = [], (f"site:{bucket_of(mesh)}", f"vault:{vault}")
    with closing(Turns(ceph, tmp_path / "turns", *words)) as backup:
        for _ in backup:
            check_whole(at_vault)
            commit()
            places.append(check_whole(mesh.store))
        assert backup.process.wait() == 0
    assert len(places) >= 6 and 2 <= check_whole(at_vault) < places[-1]
    assert done_runs(at_vault)

    with closing(Turns(ceph, tmp_path / "again", *words)) as broken_off:
        for number in broken_off:
            commit()
            if number == LAST_BEFORE_PUBLISHING:
                break
    check_whole(at_vault)

    copied = modified(ceph, vault)
    assert script("backup.sh", *words, environment=rclone(ceph)).returncode == 0
    assert check_whole(at_vault) == check_whole(mesh.store) and done_runs(at_vault) == done_runs(mesh.store)
    assert copied.items() <= modified(ceph, vault).items(), "what was there travelled again"


def modified(ceph, bucket: str) -> dict[str, object]:
    """Return when the objects of artifacts were written."""
    found = ceph.client().list_objects(bucket_name=bucket, prefix="artifacts/", recursive=True)
    return {item.object_name: item.last_modified for item in found}


def done_runs(store: Store) -> list[str]:
    from porelay_kit.runner.history import marks

    return [run_id for run_id, found in marks(store).items() if {"ingest", "preprocess"} <= found.notes.done]


@pytest.mark.slow
def test_a_backup_taken_during_work_is_restored_to_new_servers_and_every_run_ends_as_it_would_have(
    bucket_mesh, ceph, rabbit, vault, tmp_path
):
    mesh = bucket_mesh
    mesh.environment |= {"PORELAY_SLICE_S": "2", "PORELAY_CHECKPOINT_S": "1"}
    steps = Steps(mesh)
    mesh.serve(*STAGES)
    finished = [mesh.begin(number) for number in range(3)]
    training = begin_training(mesh, steps=250)
    eventually("the first runs are done", lambda: all(map(done, finished)), within_s=60)
    scratch = lambda: list(mesh.store.list("scratch"))  # noqa: E731
    eventually("the training has saved", lambda: steps.seen and scratch(), within_s=60)
    under_way = [mesh.begin(number) for number in range(10, 16)]
    saved = script("backup.sh", f"site:{bucket_of(mesh)}", f"vault:{vault}", environment=rclone(ceph))
    assert saved.returncode == 0, saved.stderr
    assert not done(training), "the training was over before the backup was"

    address = f"{ceph.url}/restored-{vault}"
    with closing(mesh_at(ceph, tmp_path / "new", empty_broker(rabbit), address)) as new:
        new.environment["PORELAY_AMQP_MANAGEMENT_URL"] = rabbit.management_url
        applied = new.command("topology", "apply")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        into = address.rpartition("/")[2]
        restored = script("restore.sh", f"vault:{vault}", f"site:{into}", environment=rclone(ceph))
        assert restored.returncode == 0, restored.stderr
        check_whole(new.store)
        known = json.loads(new.command("status", "--json").stdout)["runs"]
        assert known[training.run_id]["state"] == "waiting"
        assert {known[state.run_id]["state"] for state in finished} == {"done"}
        again = new.command("reconcile")
        assert again.returncode == 0 and f"{training.run_id}  asked for slicegan-trainer" in again.stdout, again.stderr
        heard = Steps(new)
        new.serve(*STAGES)
        back = [RunState(new.store, state.run_id) for state in [*finished, training, *under_way]
                if state.run_id in known]  # fmt: skip
        assert len(back) >= 4
        eventually("all runs of the backup are done", lambda: all(map(done, back)), within_s=120)
        everything = [*finished, training, *under_way]
        eventually("the old site is done, too", lambda: all(map(done, everything)), within_s=120)
        assert heard.seen and heard.seen[0] > 1, "the training began anew"
        for state in back:
            assert content(new.store, state) == content(mesh.store, state)
        assert not parked(new, *STAGES)
        refused = script("restore.sh", f"vault:{vault}", f"site:{into}", environment=rclone(ceph))
        assert refused.returncode == 2 and "is not empty" in refused.stderr


def test_a_copy_without_the_metadata_of_objects_is_no_backup(bucket_mesh, ceph, vault, at_vault, tmp_path):
    """Why the scripts say --metadata, and why a plain copy to a disk does not do."""
    embedded.run(bucket_mesh.begin(0), bucket_mesh.settings)
    site, environment = f"site:{bucket_of(bucket_mesh)}", rclone(ceph)
    subprocess.run(["rclone", "copy", site, f"vault:{vault}", "--s3-no-check-bucket"], env=environment, check=True)
    with pytest.raises(KeyError):
        check_whole(at_vault)
    subprocess.run(["rclone", "copy", site, str(tmp_path / "disk")], env=environment, check=True)
    assert client_sees_writer(ceph.client(), bucket_of(bucket_mesh))


def client_sees_writer(client: Minio, bucket: str) -> bool:
    found = [item.object_name for item in client.list_objects(bucket_name=bucket, prefix="artifacts/", recursive=True)]
    manifests = [name for name in found if name.endswith("/manifest.json")]
    told = [client.stat_object(bucket_name=bucket, object_name=name).metadata for name in manifests]
    return all("x-amz-meta-writer" in {key.lower() for key in one} for one in told)


def test_a_folder_is_copied_in_the_same_order(mesh, tmp_path):
    embedded.run(mesh.begin(0), mesh.settings)
    home, to = mesh.settings.home, tmp_path / "copy"
    to.mkdir()
    subprocess.run(["cp", "-a", str(home / "runs"), f"{to}/"], check=True)
    embedded.run(mesh.begin(1), mesh.settings)
    rest = f"cp -a $(ls -d {home}/* | grep -v -e /runs -e /staging) {to}/"
    subprocess.run(["sh", "-c", rest], check=True)
    copied = open_store(Settings(home=to))
    assert check_whole(copied) == 4 and len(done_runs(copied)) == 1


def keeper(mesh: Mesh) -> Keeper:
    """The intake as it runs beside an ingest worker."""
    taker = Taker(mesh.broker, mesh.store, mesh.settings.max_memory_bytes)
    return Keeper(taker, Patience(120.0, 0.0, 300.0), planning.shipped(), bucket_of(mesh))


def test_a_big_drop_whose_etag_the_copy_changes_is_still_the_same_run(bucket_mesh, ceph, rabbit, vault, tmp_path):
    stack = tmp_path / "big.tif"
    grey = np.random.default_rng(0).integers(0, 255, (9, 1024, 1024), dtype=np.uint8)
    tifffile.imwrite(stack, grey)  # more than 8 MiB: it travels in parts, and its ETag is not its digest
    words = ("--plan", bucket_mesh.folder / "small.yaml", "--voxel-um", "0.05")
    assert bucket_mesh.command("submit", stack, *words).returncode == 0
    keeper(bucket_mesh).sweep()
    (run_id,) = run_ids(bucket_mesh.store)
    embedded.run(RunState(bucket_mesh.store, run_id), bucket_mesh.settings)
    keeper(bucket_mesh).sweep()

    into, copying = ceph.new_bucket(), rclone(ceph)
    assert script("backup.sh", f"site:{bucket_of(bucket_mesh)}", f"vault:{vault}", environment=copying).returncode == 0
    assert script("restore.sh", f"vault:{vault}", f"site:{into}", environment=copying).returncode == 0
    with closing(mesh_at(ceph, tmp_path / "new", rabbit.new_vhost(), f"{ceph.url}/{into}")) as new:
        (before,), (after,) = (
            [one.etag for one in mesh.store.objects("inbox") if one.key.endswith("big.tif")]
            for mesh in (bucket_mesh, new)
        )
        assert before != after
        keeper(new).sweep()
        told = json.loads(new.command("status", "--json").stdout)
        assert list(told["runs"]) == [run_id] and told["runs"][run_id]["state"] == "done" and not told["drops"]
        assert not new.broker.waiting("ingest")
