"""Upgrade to a release whose messages differ, as deploy/README.md tells it: queues `<stage>.v1` and `<stage>.v2`."""

import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from cluster.conftest import Mesh, done, eventually

from porelay_kit.broker.topology import GENERATION, Topology, dead_of, queue_of

STAGES = ("ingest", "preprocess")
NEXT_RELEASE = f"""\
from porelay_kit.broker import topology

topology.GENERATION = {GENERATION + 1}
"""
"""Read by every interpreter that starts with it on its path: the same code, but for the queues."""


@pytest.fixture
def new_release(tmp_path: Path, rabbit, mesh: Mesh) -> dict[str, str]:
    """Variables that make a command or a worker one of the next release."""
    folder = tmp_path / "next"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NEXT_RELEASE)
    mesh.environment["PORELAY_AMQP_MANAGEMENT_URL"] = rabbit.management_url
    mesh.environment["PORELAY_SWEEP_S"] = "1"
    return {"PYTHONPATH": str(folder)}


def other_queues(mesh: Mesh, release: dict[str, str]) -> dict[str, str]:
    """Return what a release's `topology check` says of queues of the other: what is in them, and what to do."""
    steps = json.loads(mesh.command("topology", "check", "--json", **release).stdout)
    told = [step for step in steps if "of another release" in step["what"]]
    return {step["what"].split()[1]: f"{step['what'].partition(': ')[2]} {step['road']}" for step in told}


def policy_of(rabbit, queue: str) -> str | None:
    return rabbit.ask("GET", f"queues/{queue}").json().get("policy")


def empty(told: str) -> bool:
    return told.startswith("messages 0, consumers 0 ")


def new_run(mesh: Mesh, release: dict[str, str]) -> int:
    """Submit a stack by a release's command, and wait for its report; return the exit code."""
    words = ("--plan", mesh.folder / "small.yaml", "--voxel-um", "0.06", "--wait")
    return mesh.command("submit", mesh.folder / "stack-0.tif", *words, **release).returncode


def delete(rabbit, mesh: Mesh, *queues: str) -> None:
    """Do what `rabbitmqctl delete_queue -p VHOST QUEUE` does."""
    vhost = quote(urlsplit(mesh.settings.amqp_url.get_secret_value()).path.lstrip("/"), safe="")
    for queue in queues:
        rabbit.ask("DELETE", f"queues/{vhost}/{queue}")


@pytest.mark.slow
def test_old_and_new_workers_live_side_by_side_until_the_old_queues_are_empty_and_deleted(mesh, rabbit, new_release):
    old_runs = [mesh.begin(number) for number in range(4)]
    applied = mesh.command("topology", "apply", **new_release)
    assert applied.returncode == 0 and "+ queue ingest.v2 (quorum)" in applied.stdout, applied.stdout + applied.stderr
    vhost = quote(urlsplit(mesh.settings.amqp_url.get_secret_value()).path.lstrip("/"), safe="")
    both = [f"{vhost}/ingest.v{generation}" for generation in (GENERATION, GENERATION + 1)]
    eventually("both obey one policy", lambda: {policy_of(rabbit, one) for one in both} == {"work"}, within_s=20)
    mesh.serve(*STAGES, **new_release)
    assert new_run(mesh, new_release) == 0, mesh.logs()
    eventually("the new release counts the old messages", lambda: "messages 4, consumers 0" in
               other_queues(mesh, new_release)["ingest.v1"], within_s=30, every_s=1)  # fmt: skip

    old = mesh.serve(*STAGES)
    eventually("the old workers are through", lambda: all(map(done, old_runs)), within_s=90)
    assert "What to do with it: deploy/README.md" in other_queues(mesh, new_release)["ingest.v1"]
    old.terminate()
    assert old.wait(30) == 0
    eventually("nothing is left in the old queues", lambda: all(map(empty, other_queues(mesh, new_release).values())),
               within_s=30, every_s=1)  # fmt: skip
    left = other_queues(mesh, new_release)
    assert {queue_of(stage) for stage in Topology().stages} | {dead_of(stage) for stage in Topology().stages} == set(
        left
    )
    assert f"`rabbitmqctl delete_queue -p {vhost} ingest.v1`" in left["ingest.v1"]
    delete(rabbit, mesh, *left)
    assert other_queues(mesh, new_release) == {}


@pytest.mark.slow
def test_in_one_go_what_the_old_queues_hold_is_asked_for_in_the_new_ones(mesh, rabbit, new_release):
    runs = [mesh.begin(number) for number in range(4)]
    assert mesh.command("topology", "apply", **new_release).returncode == 0
    asked = mesh.command("reconcile", **new_release)
    assert asked.stdout.splitlines()[-1] == "asked for 4 stages; 0 missing reports; 0 runs done", asked.stderr
    mesh.serve(*STAGES, **new_release)
    delete(rabbit, mesh, *other_queues(mesh, new_release))
    eventually("the runs are done", lambda: all(map(done, runs)), within_s=90)
    assert json.loads(mesh.command("dlq", "list", "--json", **new_release).stdout) == []
