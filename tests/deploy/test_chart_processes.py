"""What the chart starts, started here: its commands, variables and files, on a real RabbitMQ and a real S3 server.

Only Kubernetes is missing: files that it would mount are copied, and addresses and the port are of this machine. Where
a Docker engine has the images, they run as containers, too, under the restrictions of their pods.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest
import urllib3
from cluster.test_training import begin
from deploy.chart import (
    Object,
    Rendered,
    container_of,
    environment_of,
    environment_with,
    merge,
    pod_of,
    render,
    sources,
)
from servers import free_port
from servers.ceph import S3Server
from servers.rabbit import Rabbit

from porelay_kit.broker import open_broker
from porelay_kit.broker.management import Management
from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.broker.topology import Topology
from porelay_kit.security import Site, write
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_schemas.route import STAGES

BIN = Path(sys.executable).parent


class Facility:
    """A site as the chart's README sets it up: users and their secrets are there, but neither queues nor a bucket."""

    def __init__(self, rabbit: Rabbit, ceph: S3Server, folder: Path) -> None:
        self.folder, self.vhost = folder, urlsplit(rabbit.new_vhost(topology=False)).path[1:]
        management = urlsplit(rabbit.management_url)
        self.management = f"{management.scheme}://{management.hostname}:{management.port}"
        site = Site.of(f"{rabbit.url}/{self.vhost}", f"{ceph.url}/deploy-{uuid.uuid4().hex[:12]}")
        definitions = Topology().definitions(site.vhost, rabbit.version)
        write(folder, site, definitions)
        self._users(rabbit)
        admin, password = folder / "secrets" / "porelay-admin", self.secret("porelay-admin", "amqp_password")
        (admin / "amqp_management_url").write_text(
            f"{management.scheme}://porelay-admin:{password}@{management.hostname}:{management.port}"
        )
        user = ceph.new_user()
        for one in (folder / "secrets").iterdir():  # what each may do in the bucket is tested elsewhere
            (one / "s3_access_key").write_text(user.access_key)
            (one / "s3_secret_key").write_text(user.secret_key)
        self.values: Object = {
            "config": {"s3_url": f"{site.s3}/{site.bucket}"},
            "broker": {"managementUrl": self.management, "vhost": self.vhost},
            "keda": {"enabled": True},
        }
        self.chart = render(values=self.values)

    def _users(self, rabbit: Rabbit) -> None:
        made = json.loads((self.folder / "rabbitmq" / "definitions.json").read_text())
        users = {key: made[key] for key in ("users", "permissions", "topic_permissions", "exchanges")}
        answered = Management(rabbit.management_url).ask("POST", "definitions", users)
        assert answered.status in (201, 204), answered.data

    def secret(self, user: str, name: str) -> str:
        return (self.folder / "secrets" / user / name).read_text().strip()

    def operator(self, folder: Path) -> Settings:
        """Return the settings of an operator of this site."""
        variables = {
            f"PORELAY_{name.upper()}_FILE": str(self.folder / "secrets" / "porelay-operator" / name)
            for name in ("amqp_url", "s3_access_key", "s3_secret_key")
        }
        url = environment_of(self.chart.worker("segment"))["PORELAY_S3_URL"]
        return Settings.from_env(variables | {"PORELAY_S3_URL": url, "PORELAY_CACHE": str(folder / "cache")})

    def mounted(self, thing: Object) -> Path:
        """Return a folder with the secrets that a workload mounts."""
        made = self.folder / "mounted" / thing["metadata"]["name"]
        made.mkdir(parents=True, exist_ok=True)
        for secret, item in sources(thing):
            shutil.copyfile(self.folder / "secrets" / secret / item["key"], made / item["path"])
        return made

    def start(self, thing: Object, **more: str) -> "subprocess.Popen[bytes]":
        """Start a workload's container as a process, with what it mounts in a folder of its own."""
        mounted = self.mounted(thing)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PORELAY_")}
        variables = environment_with(thing, mounted) | {"PORELAY_CACHE": str(mounted / "cache")} | more
        program, *words = container_of(thing)["command"]
        return subprocess.Popen([BIN / program, *words], env=plain | variables, cwd=mounted)


@pytest.fixture(scope="module")
def facility(rabbit: Rabbit, ceph: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Facility:
    made = Facility(rabbit, ceph, tmp_path_factory.mktemp("facility"))
    assert made.start(made.chart.one("Job", component="topology")).wait(60) == 0, "the topology job has failed"
    return made


def test_the_topology_job_makes_queues_and_bucket_and_changes_nothing_the_second_time(facility: Facility) -> None:
    job = facility.chart.one("Job", component="topology")
    assert facility.start(job).wait(60) == 0
    container_of(job)["command"] = ["porelay", "topology", "check"]
    assert facility.start(job).wait(60) == 0


def test_the_doctor_finds_nothing_that_hinders(facility: Facility) -> None:
    assert facility.start(facility.chart.one("Job", component="doctor")).wait(60) == 0


def answer(port: str, path: str) -> urllib3.BaseHTTPResponse | None:
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}{path}", retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return None


def becomes(port: str, path: str, within_s: float) -> bool:
    """Return whether a probe succeeds within some time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if (found := answer(port, path)) is not None and found.status == 200:
            return True
        time.sleep(0.2)
    return False


def startup_s(worker: Object) -> float:
    probe = container_of(worker)["startupProbe"]
    return float(probe["periodSeconds"] * probe["failureThreshold"])


@pytest.mark.parametrize("service", ["ingest", "segment", "slicegan-trainer"])
def test_a_worker_passes_its_probes_and_ends_within_its_grace(facility: Facility, service: str) -> None:
    worker, port = facility.chart.worker(service), str(free_port())
    process = facility.start(worker, PORELAY_HEALTH_PORT=port)
    try:
        assert becomes(port, "/livez", startup_s(worker))
        assert becomes(port, "/readyz", 30)
        metrics = answer(port, "/metrics")
        assert metrics is not None and b"porelay_build_info" in metrics.data
        process.send_signal(signal.SIGTERM)
        assert process.wait(pod_of(worker)["terminationGracePeriodSeconds"]) == 0
    finally:
        process.kill()


@contextmanager
def running(facility: Facility, *services: str) -> Iterator[dict[str, tuple["subprocess.Popen[bytes]", str]]]:
    """Run the workers of some services; give (process, port) of each."""
    ports = {service: str(free_port()) for service in services}
    made = {
        name: (facility.start(facility.chart.worker(name), PORELAY_HEALTH_PORT=port), port)
        for name, port in ports.items()
    }
    try:
        yield made
    finally:
        for process, _ in made.values():
            process.terminate()
        for process, _ in made.values():
            process.wait(30)


@pytest.mark.slow
def test_a_trainer_in_the_midst_of_a_training_hands_it_over_within_its_grace(
    facility: Facility, tmp_path: Path
) -> None:
    trainer = facility.chart.worker("slicegan-trainer")
    grace_s = pod_of(trainer)["terminationGracePeriodSeconds"]
    settings = facility.operator(tmp_path)
    with (
        closing(open_broker(settings)) as broker,
        running(facility, "ingest", "segment", "slicegan-trainer") as workers,
    ):
        begin(SimpleNamespace(folder=tmp_path, store=open_store(settings), broker=broker), steps=100_000)
        process, port = workers["slicegan-trainer"]
        deadline = time.monotonic() + 90
        while (found := answer(port, "/metrics")) is None or not steps_made(found.data.decode()):
            assert time.monotonic() < deadline, "the training has not begun"
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(grace_s) == 0
        (waiting,) = broker.waiting("slicegan-trainer")
        assert json.loads(waiting)["stage"] == "slicegan-trainer"
    kept = [key for key in open_store(settings).list("scratch") if "slicegan-trainer" in key]
    assert kept, "no checkpoint was kept"


def steps_made(metrics: str) -> float:
    """Return the steps of training that a worker has made."""
    (line,) = [line for line in metrics.splitlines() if line.startswith("porelay_train_steps_total")]
    return float(line.split()[-1])


def as_keda(found: Rendered, facility: Facility, service: str) -> urllib3.BaseHTTPResponse:
    """Ask the broker what KEDA asks it: the queue, over HTTP, as the user of the TriggerAuthentication."""
    (trigger,) = found.one("ScaledObject", component=service)["spec"]["triggers"]
    (secret,) = found.one("TriggerAuthentication")["spec"]["secretTargetRef"]
    (config,) = [one for one in found.all("ConfigMap") if "username" in one["data"]]
    user, password = config["data"]["username"], facility.secret(secret["name"], secret["key"])
    metadata = trigger["metadata"]
    url = f"{metadata['host']}api/queues/{quote(metadata['vhostName'], safe='')}/{metadata['queueName']}"
    return urllib3.request("GET", url, headers=urllib3.make_headers(basic_auth=f"{user}:{password}"), retries=False)


def test_what_keda_asks_counts_a_message_that_a_worker_has_in_hand(facility: Facility) -> None:
    url = facility.secret("porelay-metrics", "amqp_url")
    with closing(RabbitBroker(url, patience_s=10.0)) as worker:
        worker.publish("metrics", b"{}")
        delivery = worker.get(("metrics",), 10)
        deadline = time.monotonic() + 30  # the server looks at its queues every five seconds
        while (found := as_keda(facility.chart, facility, "metrics")).json().get("messages_unacknowledged") != 1:
            assert time.monotonic() < deadline, found.data
            time.sleep(0.5)
        assert (found.status, found.json()["messages"], found.json()["messages_ready"]) == (200, 1, 0)
        worker.ack(delivery)


def docker(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)


def contained(facility: Facility, thing: Object, **more: str) -> list[object]:
    """Return the words of `docker` that run a workload's container as its pod would: restricted, limited, read-only."""
    pod, container = pod_of(thing)["securityContext"], container_of(thing)
    context, limits = container["securityContext"], container["resources"]["limits"]
    variables = environment_of(thing) | more
    made: list[object] = ["run", "--rm", "--detach", "--network=host", f"--user={pod['runAsUser']}:{pod['runAsGroup']}"]
    made += ["--read-only"] if context["readOnlyRootFilesystem"] else []
    made += [] if context["allowPrivilegeEscalation"] else ["--security-opt=no-new-privileges"]
    made += [f"--cap-drop={name}" for name in context["capabilities"]["drop"]]
    made += [f"--memory={limits['memory'].removesuffix('i').lower()}"]
    made += [
        "--tmpfs=/tmp",
        f"--tmpfs=/cache:uid={pod['runAsUser']}",
        f"--volume={facility.mounted(thing)}:/secrets:ro",
    ]
    made += [f"--env={name}={'2' if isinstance(value, dict) else value}" for name, value in variables.items()]
    return [*made, container["image"], *container["command"]]


def needs_image(thing: Object) -> None:
    """Skip where there is no Docker engine that has the image of a workload."""
    image = container_of(thing)["image"]
    if not shutil.which("docker") or docker("image", "inspect", image).returncode != 0:
        pytest.skip(f"no Docker engine here has {image}: build it (deploy/images)")


@pytest.mark.parametrize("service", STAGES)
def test_a_workers_image_passes_its_probes_under_the_restrictions_of_its_pod(facility: Facility, service: str) -> None:
    values = merge(facility.values, {"services": {service: {"gpu": 0}}})
    worker, port = render(values=values).worker(service), str(free_port())
    needs_image(worker)
    name = docker(*contained(facility, worker, PORELAY_HEALTH_PORT=port)).stdout.strip()
    try:
        assert becomes(port, "/readyz", startup_s(worker)), docker("logs", name)
        began = time.monotonic()
        docker("stop", "--time", pod_of(worker)["terminationGracePeriodSeconds"], name)
        assert time.monotonic() - began < 30, "it did not hear that it shall end"
    finally:
        docker("kill", name)


def test_the_operators_image_applies_the_topology_under_the_restrictions_of_its_job(facility: Facility) -> None:
    job = facility.chart.one("Job", component="topology")
    needs_image(job)
    words = [word for word in contained(facility, job) if word != "--detach"]
    done = docker(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [line for line in done.stdout.splitlines() if line.startswith(("+", "~", "!"))]
