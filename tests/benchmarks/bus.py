"""Print what the bus costs on a real RabbitMQ: a hop between stages, a queue of 1,000 runs, events, an idle worker.

    .venv/bin/python tests/benchmarks/bus.py [--runs 1000] [--hops 300]

A hop is the time from the end of one stage's function to the beginning of the next one's: commit, result, request,
publish with confirm, delivery, and looking for the committed key. The stages do nothing; the workers are real, each
in a process of its own; the store is a folder. The broker's own publish + confirm, of a body as long, is measured in
the same run. Start it alone, as root (RabbitMQ drops to its own user): two cores are soon busy.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event, Lock
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pika
import psutil
import tifffile

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers.rabbit_debian import RabbitServer

from porelay_kit import planning
from porelay_kit.bench import Bench
from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.runner import asking, worker
from porelay_kit.runner.state import RunState, stack_ref, start
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas import messages as m
from porelay_schemas.volumes import VolumeRef

PLAN = """
name: bus
stages: {ingest: [], preprocess: [min_max], segment: [otsu]}
phases: [{name: pore, colour: "#2b3a4a"}, {name: solid, colour: "#9fb4c7"}]
"""
STAGES = ("ingest", "preprocess", "segment")
MIB = 2**20


class Mark(NamedTuple):
    """When a stage began and ended, by the clock that all processes of a machine share."""

    stage: str
    began: float
    ended: float


class Tell(NamedTuple):
    """How a worker tells the time: by a pipe, since a queue of processes would add a thread to what is measured."""

    pipe: Connection
    turn: Lock
    timed: bool

    def __call__(self, mark: Mark) -> None:
        with self.turn:
            self.pipe.send(mark)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--hops", type=int, default=300)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, closing(RabbitServer()) as rabbit:
        rabbit.start()
        home = Path(folder)
        hops = hop_times(rabbit.new_vhost(), home / "hops", given.hops)
        hop = statistics.median(hops)
        for what, pause in (("one after the other", 0.0), ("one at a time, as hops come", hop)):
            confirms = publish_and_confirm(rabbit.new_vhost(), given.hops, pause)
            say(f"publish + confirm, {what}", confirms)
            print(f"{'  a hop beyond that, at p50':<50} {(hop - statistics.median(confirms)) * 1e3:8.2f} ms")
        say("a hop between two stages", hops)
        seconds = queued_at_once(rabbit.new_vhost(), home / "queued", given.runs)
        rate = len(STAGES) * given.runs / seconds
        print(f"{f'{given.runs} runs queued at once':<50} {seconds:8.1f} s, {rate:.0f} stages/s, 0 lost")
        print(f"{'events':<50} {events_per_second(rabbit.new_vhost()):8.0f} /s, heard by a listener")
        for stage in ("ingest", "preprocess", "segment", "metrics", "mesher"):
            print(f"{f'idle worker of {stage}':<50} {idle_bytes(rabbit.new_vhost(), home, stage) / MIB:8.0f} MiB")


def say(what: str, seconds: list[float]) -> None:
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    print(f"{what:<50} {p50:8.2f} ms p50 {p95:8.2f} ms p95   ({len(seconds)} times)", flush=True)


def publish_and_confirm(url: str, count: int, every_s: float = 0.0) -> list[float]:
    """Return the seconds of each publish with confirm and mandatory, by plain pika, with a pause before each."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    body, seconds = b"0" * 1500, []
    for _ in range(count):
        time.sleep(every_s)
        began = time.perf_counter()
        channel.basic_publish("work", "mesher.v1", body, pika.BasicProperties(delivery_mode=2), mandatory=True)
        seconds.append(time.perf_counter() - began)
    connection.close()
    return seconds


def hop_times(url: str, home: Path, count: int) -> list[float]:
    """Return the seconds between stages of runs that go one after the other."""
    hops: list[float] = []
    with mesh(url, home, timed=True) as (begin, marks):
        for number in range(max(1, count // 2)):
            begin(number)
            moments = {mark.stage: mark for mark in (next_of(marks) for _ in STAGES)}
            hops.extend(moments[after].began - moments[stage].ended for stage, after in itertools.pairwise(STAGES))
    return hops


@contextmanager
def mesh(url: str, home: Path, *, timed: bool = False) -> Iterator[tuple[Callable[[int], RunState], Connection]]:
    """Serve three stages that do nothing, each in a process; yield what begins a run, and where they tell the time."""
    home.mkdir()
    (home / "bus.yaml").write_text(PLAN)
    plan, store, broker = (
        planning.load(str(home / "bus.yaml"), voxel_um=(1, 1, 1)),
        FolderStore(home),
        RabbitBroker(url),
    )
    context = multiprocessing.get_context("spawn")
    (marks, teller), turn, ended = context.Pipe(duplex=False), context.Lock(), context.Event()
    tell = Tell(teller, turn, timed)
    processes = [context.Process(target=serve, args=(stage, url, home, tell, ended)) for stage in STAGES]
    for process in processes:
        process.start()
    for _ in processes:
        next_of(marks)

    def begin(number: int) -> RunState:
        path = home / "stack.tif"
        tifffile.imwrite(path, np.full((2, 4, 4), number, np.uint32))
        state = start(store, plan, stack_ref(path))
        asking.begin(state, broker)
        return state

    try:
        yield begin, marks
    finally:
        ended.set()
        for process in processes:
            process.join()
        broker.close()


def next_of(marks: Connection) -> Mark:
    assert marks.poll(60), "no worker has told anything for a minute"
    mark: Mark = marks.recv()
    return mark


def serve(stage: str, url: str, home: Path, tell: Tell, ended: Event) -> None:
    """Be the worker of a stage that does nothing; the clock is one for all processes of a machine."""
    broker = RabbitBroker(url)
    one = worker.Worker((stage,), broker, FolderStore(home), Settings(home=home, workers=1))
    tell(Mark(stage, 0.0, 0.0))
    with patch("porelay_kit.runner.step.stage_function", lambda name: nothing(name, tell)):
        one.work(ended.is_set)
    broker.close()


def nothing(stage: str, tell: Tell) -> Callable[..., m.AnyResult]:
    """Return a stage that gives its result at once."""

    def run(request: m.AnyRequest, bench: Bench) -> m.AnyResult:
        began = time.perf_counter()
        common = {"run_id": request.run_id, "artifact": bench.artifact, "seconds": 0.0}
        volume = VolumeRef(
            prefix=bench.artifact.prefix, name="v.zarr", kind="grey", shape=(1, 1, 1), dtype="uint8", voxel_um=(1, 1, 1)
        )
        made: m.AnyResult
        if stage == "segment":
            made = m.SegmentResult(**common, labels=volume, fractions={})
        else:
            made = (m.IngestResult if stage == "ingest" else m.PreprocessResult)(**common, volume=volume)
        if tell.timed:
            tell(Mark(stage, began, time.perf_counter()))
        return made

    return run


def run_to_end(state: RunState) -> None:
    """Wait until all stages of a run are done."""
    while set(state.results()) != set(STAGES):
        time.sleep(0.002)


def queued_at_once(url: str, home: Path, runs: int) -> float:
    """Return the seconds from the first of so many requests, all queued at once, to the last result."""
    with mesh(url, home) as (begin, _):
        began = time.perf_counter()
        states = [begin(number) for number in range(runs)]
        for state in states:
            run_to_end(state)
        return time.perf_counter() - began


def events_per_second(url: str, count: int = 20000) -> float:
    """Return how many events a second go from one process through the broker to a listener."""
    sender, hearer, heard, all_heard = RabbitBroker(url), RabbitBroker(url), [0], threading.Event()

    def hear(key: str, body: bytes) -> None:
        heard[0] += 1
        if key.endswith("last"):
            all_heard.set()

    hearer.subscribe("run.", hear)
    body = json.dumps({"done": 1, "total": 2, "wasserstein": 0.1}).encode()
    began = time.perf_counter()
    for number in range(count):
        sender.emit(f"run.a.segment.{'last' if number == count - 1 else 'progress'}", body)
    all_heard.wait(60)
    seconds = time.perf_counter() - began
    sender.close()
    hearer.close()
    return heard[0] / seconds


def idle_bytes(url: str, home: Path, stage: str) -> int:
    """Return the resident memory of a worker that waits, its children included."""
    variables = {"PORELAY_AMQP_URL": url, "PORELAY_HOME": str(home / "idle"), "PORELAY_HEALTH_PORT": "0"}
    words = [sys.executable, "-m", "porelay_kit", "serve", stage]
    process = subprocess.Popen(words, env=os.environ | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(6)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    resident = sum(one.memory_info().rss for one in family)
    process.terminate()
    process.wait(20)
    return int(resident)


if __name__ == "__main__":
    main()
