"""Nothing lost, nothing done twice: workers, broker and store fail while runs go on."""

import json
import random
import signal
import threading
import time
from collections import Counter

import pytest

from porelay_kit.runner.state import RunState
from porelay_kit.runner.step import manifest
from porelay_schemas.volumes import ArtifactRef

from .conftest import Mesh, done, eventually

RUNS = 200
STAGES = ("ingest", "preprocess")


class Announced:
    """Counts how often each stage of each run was announced as done."""

    def __init__(self, mesh: Mesh) -> None:
        self.counts: Counter[str] = Counter()
        mesh.broker.subscribe("run.", self._hear)

    def _hear(self, key: str, body: bytes) -> None:
        if key.endswith(".done"):
            self.counts[key] += 1

    @property
    def again(self) -> int:
        """Announcements beyond the first."""
        return sum(self.counts.values()) - len(self.counts)


class Killer(threading.Thread):
    """Kills a random worker of a fleet now and then, and starts another in its place."""

    def __init__(self, mesh: Mesh, *stages: str, workers: int, every_s: tuple[float, float]) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = []
        self._mesh, self._stages, self._every_s = mesh, stages, every_s
        self._fleet = [mesh.serve(*stages) for _ in range(workers)]
        self._chance, self._ended = random.Random(0), threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._chance.uniform(*self._every_s)):
            victim = self._chance.randrange(len(self._fleet))
            self._fleet[victim].send_signal(signal.SIGKILL)
            self.times.append(time.monotonic())
            self._fleet[victim].wait()
            self._fleet[victim] = self._mesh.serve(*self._stages)

    @property
    def kills(self) -> int:
        """How many were killed."""
        return len(self.times)

    def end(self) -> None:
        self._ended.set()
        self.join()


def committed(mesh: Mesh) -> list[ArtifactRef]:
    """Return the artifacts that have a manifest."""
    parts = [key.split("/") for key in mesh.store.list("artifacts") if key.endswith("/manifest.json")]
    return [ArtifactRef(stage=stage, key=key) for _, stage, key, _ in parts]


def check_whole(mesh: Mesh, states: list[RunState]) -> None:
    """Check that every run has one committed artifact a stage, and no letter is dead."""
    assert not [letter for stage in STAGES for letter in mesh.broker.dead_letters(stage)]
    wanted = {result.artifact for state in states for result in state.results().values()}
    found = committed(mesh)
    assert len(found) == len(set(found)) == len(wanted) == len(states) * len(STAGES)
    assert set(found) == wanted
    for artifact in found:
        document = manifest(mesh.store, artifact)
        for file in document.files:
            assert len(mesh.store.read(f"{file.prefix}/{file.name}")) == file.size_bytes


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_made_twice_while_workers_are_killed_at_random(mesh, capsys):
    announced = Announced(mesh)
    states = [mesh.begin(number) for number in range(RUNS)]
    killer = Killer(mesh, *STAGES, workers=3, every_s=(1.5, 4.0))
    killer.start()
    began = time.monotonic()
    eventually("all runs are done", lambda: all(map(done, states)), within_s=500, every_s=2)
    killer.end()
    check_whole(mesh, states)
    assert killer.kills >= 5
    seconds, outputs = time.monotonic() - began, len(committed(mesh))
    with capsys.disabled():
        print(
            f"\n{RUNS} runs of {len(STAGES)} stages, {seconds:.0f} s, {killer.kills} workers killed: 0 lost, ", end=""
        )
        print(f"{outputs} outputs, each once; {announced.again} duplicates absorbed")


def under_way(mesh: Mesh, count: int) -> list[RunState]:
    """Begin so many runs, with two workers, and wait until the first of them is done; others are not."""
    states = [mesh.begin(number) for number in range(count)]
    for _ in range(2):
        mesh.serve(*STAGES)
    eventually("some run is done", lambda: any(map(done, states)), within_s=60)
    assert not all(map(done, states))
    return states


@pytest.mark.slow
def test_runs_outlive_a_restart_of_the_broker(mesh, rabbit):
    states = under_way(mesh, 20)
    rabbit.restart()
    eventually("all runs are done", lambda: all(map(done, states)), within_s=120, every_s=1)
    check_whole(mesh, states)


@pytest.mark.slow
def test_runs_outlive_an_outage_of_the_store(bucket_mesh, ceph):
    states = under_way(bucket_mesh, 10)
    ceph.pause()
    time.sleep(20)
    ceph.resume()
    eventually("all runs are done", lambda: all(map(done, states)), within_s=150, every_s=1)
    check_whole(bucket_mesh, states)


@pytest.mark.slow
def test_a_wiped_broker_is_filled_again_from_the_store(mesh, rabbit):
    states = under_way(mesh, 20)
    rabbit.wipe(mesh.settings.amqp_url.get_secret_value())
    assert not all(map(done, states))
    reconciled = mesh.command("reconcile")
    assert reconciled.returncode == 0, reconciled.stderr
    eventually("all runs are done", lambda: all(map(done, states)), within_s=120, every_s=1)
    check_whole(mesh, states)
    assert json.loads(mesh.command("reconcile", "--dry-run", "--json").stdout)["asked"] == []


@pytest.mark.slow
def test_two_workers_with_the_same_message_make_one_result(mesh):
    states = [mesh.begin(number) for number in range(5)]
    for number in range(5):
        mesh.begin(number)
    announced = Announced(mesh)
    for _ in range(2):
        mesh.serve(*STAGES)
    keys = [f"run.{state.run_id}.ingest.done" for state in states]
    eventually("both messages of each are done", lambda: all(announced.counts[key] == 2 for key in keys), within_s=90)
    eventually("all runs are done", lambda: all(map(done, states)), within_s=60)
    check_whole(mesh, states)
