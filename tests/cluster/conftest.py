"""Meshes on real servers: a virtual host of RabbitMQ, a store, and workers as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from porelay_kit import planning
from porelay_kit.broker import open_broker
from porelay_kit.runner import asking
from porelay_kit.runner.state import RunState, stack_ref, start
from porelay_kit.settings import PREFIX, Settings
from porelay_kit.store import open_store

SMALL = """
name: small
stages:
  ingest: []
  preprocess: [min_max, gaussian]
phases:
  - {name: pore, colour: "#2b3a4a"}
  - {name: solid, colour: "#9fb4c7"}
"""


def eventually(what: str, condition: Callable[[], object], *, within_s: float, every_s: float = 0.2) -> None:
    """Wait until something holds; fail with its name where it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(every_s)


class Mesh:
    """One deployment, and the processes that serve it."""

    def __init__(self, folder: Path, **environment: object) -> None:
        self.folder = folder
        self.environment = {PREFIX + name.upper(): str(value) for name, value in environment.items()}
        self.environment |= {
            PREFIX + "HEALTH_PORT": "0",
            PREFIX + "WORKERS": "1",
            PREFIX + "CACHE": str(folder / "cache"),
        }
        self.settings = Settings.from_env(self.environment)
        self.store = open_store(self.settings)
        self.broker = open_broker(self.settings)
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "small.yaml").write_text(SMALL)

    def command(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Porelay against this mesh."""
        command = [sys.executable, "-m", "porelay_kit", *map(str, words)]
        variables = os.environ | self.environment | environment
        return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)

    def serve(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start workers; what they say goes to `serve-<n>.log`."""
        log = (self.folder / f"serve-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "porelay_kit", "serve", *words],
            env=os.environ | self.environment | environment,
            stdout=log,
            stderr=log,
        )
        self.processes.append(process)
        return process

    def begin(self, number: int) -> RunState:
        """Begin the run of a small stack that no other number has."""
        path = self.folder / f"stack-{number}.tif"
        rng = np.random.default_rng(number)
        tifffile.imwrite(path, rng.normal(120, 30, (8, 16, 16)).clip(0, 255).astype(np.uint8))
        plan = planning.load(str(self.folder / "small.yaml"), voxel_um=(0.05, 0.05, 0.05))
        state = start(self.store, plan, stack_ref(path))
        asking.begin(state, self.broker)
        return state

    def logs(self) -> str:
        """Return what the workers said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("serve-*.log")))

    def close(self) -> None:
        """Stop all processes."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.broker.close()


def done(state: RunState) -> bool:
    """Return whether all stages of a run have a result."""
    return set(state.results()) == set(state.plan().stages)


@pytest.fixture
def mesh(rabbit, tmp_path: Path) -> Iterator[Mesh]:
    """A mesh on a folder."""
    with closing(Mesh(tmp_path, amqp_url=rabbit.new_vhost(), home=tmp_path / "home")) as made:
        yield made


@pytest.fixture
def bucket_mesh(rabbit, ceph, tmp_path: Path) -> Iterator[Mesh]:
    """A mesh on a bucket."""
    bucket = ceph.new_bucket()
    environment = {
        "amqp_url": rabbit.new_vhost(),
        "s3_url": f"{ceph.url}/{bucket}",
        "s3_access_key": ceph.access_key,
        "s3_secret_key": ceph.secret_key,
    }
    with closing(Mesh(tmp_path, **environment)) as made:
        yield made
