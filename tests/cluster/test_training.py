"""Training in slices on real servers: killed, cancelled and handed over."""

import json
import signal
import time

import numpy as np
import pytest
import tifffile

from porelay_kit import planning
from porelay_kit.runner import asking
from porelay_kit.runner.state import RunState, stack_ref, start

from .conftest import Mesh, done, eventually
from .test_faults import Killer

PLAN = """
name: training
seed: 1
phases:
  - {name: pore, colour: "#2b3a4a"}
  - {name: solid, colour: "#9fb4c7"}
stages:
  ingest: []
  segment: [labels]
  slicegan-trainer:
    - slicegan:
        patch_edge: 16
        latent_channels: 4
        generator_widths: [16, 8]
        critic_widths: [8, 16]
        batch: 2
        slices: 8
        penalty_slices: 4
        critic_steps: 2
        steps: STEPS
        eval_every: STEPS
        eval_volumes: 1
        checkpoint_every: 10
"""


def begin(mesh: Mesh, *, steps: int) -> RunState:
    """Begin a training of so many steps on a small label stack."""
    rng = np.random.default_rng(0)
    tifffile.imwrite(mesh.folder / "labels.tif", (rng.random((24, 32, 32)) < 0.4).astype(np.uint8))
    (mesh.folder / "training.yaml").write_text(PLAN.replace("STEPS", str(steps)))
    plan = planning.load(str(mesh.folder / "training.yaml"), voxel_um=(0.05, 0.05, 0.05))
    state = start(mesh.store, plan, stack_ref(mesh.folder / "labels.tif"))
    asking.begin(state, mesh.broker)
    return state


class Steps:
    """The steps of training as they are announced, and when."""

    def __init__(self, mesh: Mesh) -> None:
        self.seen: list[int] = []
        self.at: list[float] = []
        mesh.broker.subscribe("run.", self._hear)

    def _hear(self, key: str, body: bytes) -> None:
        if key.endswith(".slicegan-trainer.progress"):
            self.seen.append(int(json.loads(body)["done"]))
            self.at.append(time.monotonic())

    def wasted(self, kills: list[float]) -> float:
        """Return how many steps were lost by kills: from where it must have been then to where it went on.

        A step is announced once a second; in between it goes on as fast as before.
        """
        lost = 0.0
        for kill in kills:
            last = sum(at < kill for at in self.at) - 1
            if last < 1 or last + 1 >= len(self.seen):
                continue
            rate = (self.seen[last] - self.seen[last - 1]) / (self.at[last] - self.at[last - 1])
            reached = self.seen[last] + max(0.0, rate) * (kill - self.at[last])
            lost += max(0.0, reached - self.seen[last + 1])
        return lost


@pytest.mark.slow
def test_a_training_whose_worker_is_killed_wastes_few_steps(mesh, capsys):
    steps = Steps(mesh)
    mesh.serve("ingest")
    mesh.serve("segment")
    mesh.environment["PORELAY_SLICE_S"] = "6"
    killer = Killer(mesh, "slicegan-trainer", workers=1, every_s=(6.0, 12.0))
    killer.start()
    state = begin(mesh, steps=1500)
    eventually("the training is done", lambda: done(state), within_s=300, every_s=1)
    killer.end()
    assert state.results()["slicegan-trainer"].steps == 1500
    assert killer.kills >= 2
    wasted = steps.wasted(killer.times)
    assert wasted < 150
    with capsys.disabled():
        print(f"\n1500 steps in slices of 6 s, {killer.kills} workers killed: some {wasted:.0f} steps wasted")


@pytest.mark.slow
def test_a_training_stops_within_seconds_of_a_cancel_and_goes_on_when_it_is_asked_again(mesh):
    steps = Steps(mesh)
    mesh.serve("ingest", "segment")
    mesh.serve("slicegan-trainer")
    state = begin(mesh, steps=2000)
    eventually("the training has begun", lambda: steps.seen, within_s=60)
    assert mesh.command("cancel", state.run_id).returncode == 0
    time.sleep(4)
    count = len(steps.seen)
    time.sleep(3)
    assert len(steps.seen) == count
    reached = steps.seen[-1]
    state.resume()
    assert mesh.command("reconcile").returncode == 0
    eventually("the training goes on", lambda: len(steps.seen) > count, within_s=60)
    assert steps.seen[count] >= reached - 10
    assert mesh.command("cancel", "--only-training", state.run_id).returncode == 0
    eventually("the training has ended early", lambda: done(state), within_s=60)
    assert state.results()["slicegan-trainer"].stopped_by == "command"


@pytest.mark.slow
def test_a_trainer_that_is_asked_to_leave_hands_its_training_to_another(mesh):
    steps = Steps(mesh)
    mesh.serve("ingest", "segment")
    leaving = mesh.serve("slicegan-trainer")
    state = begin(mesh, steps=600)
    eventually("the training has begun", lambda: steps.seen, within_s=60)
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(30) == 0
    reached = steps.seen[-1]
    mesh.serve("slicegan-trainer")
    eventually("the training is done", lambda: done(state), within_s=180, every_s=1)
    assert state.results()["slicegan-trainer"].steps == 600
    assert min(steps.seen[steps.seen.index(reached) + 1 :]) >= reached
