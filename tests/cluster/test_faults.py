"""Nothing lost, nothing done twice: workers, broker and store fail while runs go on."""

import json
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from porelay_kit.runner.history import marks
from porelay_kit.runner.state import RunState
from porelay_kit.runner.step import manifest
from porelay_schemas.volumes import ArtifactRef

from .conftest import Mesh, eventually

T, R = TypeVar("T"), TypeVar("R")

RUNS = 200
STAGES = ("ingest", "preprocess")
ENDED = re.compile(r"^\S+ (ok|skipped) stage=(\S+) run=(\S+)", re.MULTILINE)
"""What a worker says of a delivery that it has finished: computed, or found done."""


def at_once(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return `function` of every item, several at once: a server's answer takes milliseconds each."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(function, items))


class Crowd:
    """Many small runs, all of them begun, and how far they are."""

    def __init__(self, mesh: Mesh, count: int = RUNS) -> None:
        self.mesh = mesh
        self.states = at_once(mesh.begin, range(count))
        self.began = time.monotonic()

    @property
    def done(self) -> int:
        """How many runs have all their results."""
        return sum(run.notes.done >= set(STAGES) for run in marks(self.mesh.store).values())

    def reach(self, share: float) -> None:
        """Wait until so many of the runs are done, and no more than nearly all."""
        wanted = share * len(self.states)
        eventually(f"{wanted:.0f} runs are done", lambda: self.done >= wanted, within_s=120, every_s=0.5)
        assert self.done < len(self.states), "the runs were over before the fault came"

    def finish(self, within_s: float) -> str:
        """Wait until all runs are done, check that nothing is lost or made twice, and return what there was to count.

        Duplicates are deliveries whose result was there already, and those computed by two at once.
        """
        everything = len(self.states)
        try:
            eventually("all runs are done", lambda: self.done == everything, within_s=within_s, every_s=1)
        except AssertionError as error:
            raise AssertionError(f"{everything - self.done} runs are not done; parked: {parked(self.mesh)}") from error
        seconds = time.monotonic() - self.began
        check_whole(self.mesh, self.states)
        ended = finished(self.mesh)
        computed = [count for (outcome, _, _), count in ended.items() if outcome == "ok"]
        twice = sum(computed) - len(computed)
        absorbed = sum(count for (outcome, _, _), count in ended.items() if outcome == "skipped") + twice
        outputs = f"{everything * len(STAGES)} outputs, each once"
        return f"{everything} runs of {len(STAGES)} stages, {seconds:.0f} s: 0 lost, {outputs}; {absorbed} duplicates"


def finished(mesh: Mesh) -> Counter[tuple[str, str, str]]:
    """Return how often each stage of each run was finished, by outcome, as the workers say."""
    return Counter(match.groups() for match in ENDED.finditer(mesh.logs()))  # type: ignore[misc]


def parked(mesh: Mesh) -> list[str]:
    """Return why messages lie in the dead letters."""
    return [f"{stage}: {letter.text}" for stage in STAGES for letter in mesh.broker.dead_letters(stage)]


def check_whole(mesh: Mesh, states: list[RunState]) -> None:
    """Check that every run has one committed artifact a stage, all of it there, and that no letter is dead."""
    assert not parked(mesh)
    wanted = {result.artifact for results in at_once(RunState.results, states) for result in results.values()}
    parts = [key.split("/") for key in mesh.store.list("artifacts") if key.endswith("/manifest.json")]
    found = [ArtifactRef(stage=stage, key=key) for _, stage, key, _ in parts]
    assert len(found) == len(set(found)) == len(wanted) == len(states) * len(STAGES)
    assert set(found) == wanted

    def check(artifact: ArtifactRef) -> None:
        for file in manifest(mesh.store, artifact).files:
            assert len(mesh.store.read(f"{file.prefix}/{file.name}")) == file.size_bytes

    at_once(check, found)


class Killer(threading.Thread):
    """Kills a random worker of a fleet now and then, and starts another in its place.

    Only after so many more `deliveries`: on a slow machine one message would lose worker after worker, and be parked.
    """

    def __init__(
        self, mesh: Mesh, *stages: str, workers: int, every_s: tuple[float, float], deliveries: int = 0
    ) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = []
        self._deliveries, self._finished = deliveries, 0
        self._mesh, self._stages, self._every_s = mesh, stages, every_s
        self._fleet = [mesh.serve(*stages) for _ in range(workers)]
        self._chance, self._ended = random.Random(0), threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._chance.uniform(*self._every_s)):
            now = finished(self._mesh).total()
            if now - self._finished < self._deliveries:
                continue
            self._finished = now
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

    def __enter__(self) -> "Killer":
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.end()


@pytest.fixture
def say(capsys) -> Callable[[str], None]:
    """Print what was counted, also where the tests' output is not shown."""

    def print_it(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")

    return print_it


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_made_twice_while_workers_are_killed_at_random(mesh, say):
    crowd = Crowd(mesh)
    with Killer(mesh, *STAGES, workers=3, every_s=(1.5, 4.0), deliveries=8) as killer:
        counted = crowd.finish(within_s=500)
    assert killer.kills >= 5
    say(f"{counted} absorbed; {killer.kills} workers killed")


def under_way(mesh: Mesh) -> Crowd:
    """Begin the runs, and start two workers."""
    crowd = Crowd(mesh)
    for _ in range(2):
        mesh.serve(*STAGES)
    return crowd


@pytest.mark.slow
def test_runs_outlive_restarts_of_the_broker(mesh, rabbit, say):
    crowd, shares = under_way(mesh), (0.15, 0.6)
    for share in shares:
        crowd.reach(share)
        rabbit.restart()
    say(f"{crowd.finish(within_s=240)} absorbed; broker restarted {len(shares)} times")


@pytest.mark.slow
def test_runs_outlive_an_outage_of_the_store(bucket_mesh, ceph, say):
    crowd = under_way(bucket_mesh)
    crowd.reach(0.3)
    ceph.pause()
    time.sleep(20)
    ceph.resume()
    say(f"{crowd.finish(within_s=300)} absorbed; store away for 20 s")


@pytest.mark.slow
def test_a_wiped_broker_is_filled_again_from_the_store(mesh, rabbit, say):
    crowd, shares, took = under_way(mesh), (0.1, 0.5), []
    for share in shares:
        crowd.reach(share)
        rabbit.wipe(mesh.settings.amqp_url.get_secret_value())
        assert crowd.done < RUNS
        began = time.monotonic()
        reconciled = mesh.command("reconcile")
        took.append(time.monotonic() - began)
        assert reconciled.returncode == 0, reconciled.stderr
    counted = crowd.finish(within_s=240)
    assert json.loads(mesh.command("reconcile", "--dry-run", "--json").stdout)["asked"] == []
    say(f"{counted} absorbed; broker wiped {len(shares)} times, reconciled in {max(took):.1f} s")


@pytest.mark.slow
def test_two_workers_with_the_same_message_make_one_result(mesh):
    crowd = Crowd(mesh, 5)
    at_once(mesh.begin, range(5))
    for _ in range(2):
        mesh.serve(*STAGES)

    def both() -> bool:
        counts = Counter(run_id for _, stage, run_id in finished(mesh).elements() if stage == "ingest")
        return all(counts[state.run_id] == 2 for state in crowd.states)

    eventually("both messages of each are done", both, within_s=90)
    crowd.finish(within_s=60)
