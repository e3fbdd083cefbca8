"""Dashboards and alerts against the real Prometheus, which scrapes a running pipeline and its broker."""

import io
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
import yaml
from cluster.conftest import Mesh, done, eventually
from minio import Minio
from servers import free_port

from deploy.monitoring import BOARDS, ELSEWHERE, MONITORING, Asked, filled, metrics, of_alerts, of_panels
from porelay_kit.runner.state import RunState, run_ids
from porelay_schemas.route import STAGES

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "pipeline" / "tiny.yaml"
DONE = ("ingest", "preprocess", "segment", "slicegan-trainer")
"""Stages that the stack goes through; all eight have workers."""

TRAINER = "slicegan-trainer"
OTHERS = [stage for stage in STAGES if stage != TRAINER]
SILENT = {
    "Broker and store / Failed calls / {{op}}": "no call of the store failed",
    **{f"Training / {title} / {{{{instance}}}} {{{{gpu}}}}": "no GPU" for title in ("GPU in use", "GPU memory in use")},
}
"""What shows nothing where all goes well, and why."""


class Prometheus:
    """The real one, on deploy/monitoring/prometheus.yml with other targets and a scrape each second."""

    def __init__(self, folder: Path, workers: list[int], broker: str) -> None:
        if not shutil.which("prometheus"):
            pytest.skip("Debian's package prometheus is not installed; deploy/apt-for-tests installs it")
        targets = {"rabbitmq": [broker], "rabbitmq-queues": [broker]}
        targets["porelay"] = [f"127.0.0.1:{port}" for port in workers]
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(MONITORING / pattern) for pattern in config["rule_files"]]
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": targets[job["job_name"]]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        paths = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        with (folder / "prometheus.log").open("wb") as log:
            command = ["prometheus", *paths, f"--web.listen-address=127.0.0.1:{port}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def ask(self, path: str, **fields: str) -> Any:
        answer = urllib3.request("GET", f"{self.url}/api/v1/{path}", fields=fields, retries=3).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expression: str) -> list[tuple[dict[str, str], float]]:
        found = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]


class Watched:
    """A deployment that has carried one stack to its end and parked one message, and who watched it."""

    def __init__(self, prometheus: Prometheus, vhost: str, mesh: Mesh) -> None:
        self.prometheus, self.vhost, self.mesh = prometheus, vhost, mesh

    def alerts(self) -> set[str]:
        """Return the alerts that are heard, or would be if it lasted."""
        return {alert["labels"]["alertname"] for alert in self.prometheus.ask("alerts")["alerts"]}

    def data(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return what a panel would show, but for what is not a number."""
        found = self.prometheus.value(filled(expression, job="porelay", vhost=self.vhost))
        return [(labels, value) for labels, value in found if value == value]


def _plan() -> bytes:
    plan = yaml.safe_load(TINY.read_text())
    plan["voxel_um"], plan["stages"] = 0.05, {stage: plan["stages"][stage] for stage in DONE}
    plan["stages"][TRAINER][0]["slicegan"]["steps"] = 60
    return yaml.safe_dump(plan).encode()


def _drop(mesh: Mesh, stack: Path) -> None:
    settings = mesh.settings
    keys = settings.s3_access_key.get_secret_value(), settings.s3_secret_key.get_secret_value()
    address = urlsplit(settings.s3_url)
    client = Minio(endpoint=address.netloc, access_key=keys[0], secret_key=keys[1], secure=False)
    plan = _plan()
    where = {"bucket_name": address.path.strip("/"), "object_name": "inbox/tiny/a.tif"}
    client.put_object(**where | {"object_name": "inbox/tiny/a.tif.plan.yaml"}, data=io.BytesIO(plan), length=len(plan))
    client.fput_object(**where, file_path=str(stack))


@pytest.fixture(scope="module")
def watched(rabbit, ceph, stack, tmp_path_factory) -> Iterator[Watched]:
    folder, bucket = tmp_path_factory.mktemp("watched"), ceph.new_bucket()
    keys = {"s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    ports = [free_port() for _ in range(3)]
    with closing(Mesh(folder, amqp_url=rabbit.new_vhost(), s3_url=f"{ceph.url}/{bucket}", **keys)) as mesh:
        url = mesh.settings.amqp_url.get_secret_value()
        ceph.notify(bucket, url, "ingest")
        mesh.serve(*OTHERS, PORELAY_HEALTH_PORT=str(ports[0]))
        mesh.serve(TRAINER, PORELAY_HEALTH_PORT=str(ports[1]), PORELAY_SLICE_S="2")
        with closing(Prometheus(folder, ports, rabbit.metrics)) as prometheus:
            _drop(mesh, stack)
            mesh.broker.publish("mesher", b"{}")
            eventually("a run has begun", lambda: run_ids(mesh.store), within_s=60)
            state = RunState(mesh.store, run_ids(mesh.store)[0])
            eventually("the run is done", lambda: done(state) or state.failures(), within_s=120)
            assert not state.failures(), mesh.logs()
            mesh.serve("ingest", PORELAY_HEALTH_PORT=str(ports[2]))  # it counts at once, the first only each minute
            counted = 'max(porelay_runs{state="done"}) == 1 and count(up == 1) == 5'
            eventually("the run is counted", lambda: prometheus.value(counted), within_s=30)
            time.sleep(6)  # the broker's figures are so old
            yield Watched(prometheus, urlsplit(url).path.strip("/"), mesh)


def test_every_metric_that_a_panel_or_an_alert_names_is_exposed(watched):
    exposed = set(watched.prometheus.ask("label/__name__/values"))
    named = {metric: asked.where for asked in (*of_panels(), *of_alerts()) for metric in metrics(asked.expression)}
    missing = {metric: where for metric, where in named.items() if metric not in exposed | set(ELSEWHERE)}
    assert missing == {}
    assert not exposed & set(ELSEWHERE), "it is exposed after all"


@pytest.mark.parametrize("asked", of_panels(), ids=lambda asked: asked.where)
def test_a_panel_shows_data(watched, asked: Asked):
    assert bool(watched.data(asked.expression)) == (asked.where not in SILENT)


def test_a_choice_has_values(watched):
    for choice in {choice for board in BOARDS for choice in board.choices}:
        inside = choice.values.removeprefix("label_values(").removesuffix(")")
        metric, _, label = inside.rpartition(",")
        assert watched.prometheus.ask(f"label/{label.strip()}/values", **{"match[]": filled(metric)}), choice.name


def test_prometheus_evaluates_every_alert_and_tells_of_the_dead_letter_alone(watched):
    found = [rule for group in watched.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in found} == {asked.where for asked in of_alerts()}
    assert {rule["name"]: rule.get("lastError") for rule in found if rule["health"] != "ok"} == {}
    heard = [alert for rule in found for alert in rule["alerts"]]
    ours = [alert["labels"] for alert in heard if alert["labels"].get("vhost", watched.vhost) == watched.vhost]
    assert [(one["alertname"], one.get("queue")) for one in ours] == [("PorelayDeadLetters", "dlq.mesher.v1")]


def test_the_figures_are_those_of_what_was_done(watched):
    shown = {asked.where: watched.data(asked.expression) for asked in of_panels()}

    def one(where: str) -> float:
        [(_, value)] = shown[where]
        return value

    def by(where: str, label: str) -> dict[str, float]:
        return {labels[label]: value for labels, value in shown[where]}

    assert one("Facility / Runs done / ") == one("Facility / Stacks taken in / ") == 1
    assert one("Facility / Runs not finished / ") == one("Facility / Runs failed / ") == 0
    assert one("Facility / Counted / ") < 30
    assert 1 < by("Facility / Mean of the period, by plan / {{recipe}}", "recipe")["tiny"] < 120
    assert by("Pipeline / Dead letters / {{queue}}", "queue")["dlq.mesher.v1"] == 1
    assert by("Pipeline / Given up / {{service}}", "service")["mesher"] == 1
    assert [(labels["error"], n) for labels, n in shown["Pipeline / Errors by class / {{service}} {{error}}"]] == [
        ("BadMessage", 1)
    ]
    assert by("Pipeline / Ready / {{queue}}", "queue") == {f"{stage}.v1": 0 for stage in (*STAGES, "intake")}
    assert by("Pipeline / Consumers / {{queue}}", "queue")["ingest.v1"] == 2
    assert by("Pipeline / Workers / {{service}}", "service") == dict.fromkeys(STAGES, 1) | {"ingest": 2}
    voxels = 24 * 48 * 48
    assert by("Pipeline / Voxels made per second / {{service}}", "service")["ingest"] == pytest.approx(voxels / 600)
    assert max(by("Pipeline / Time with a message, 95 of 100 / {{service}}", "service").values()) < 120
    assert set(by("Training / Progress / {{instance}}", "instance").values()) == {1.0}
    assert one("Training / Slices ended in the period / ") >= 1
    assert one("Broker and store / Workers that are blocked / ") == 0
    assert 0 < shown["Broker and store / Memory, of the limit / {{instance}}"][0][1] < 1


def test_what_workers_publish_is_what_the_broker_confirms(watched):
    published, confirmed = (
        watched.prometheus.value(f"sum(rabbitmq_global_messages_{name}_total)")[0][1]
        for name in ("received_confirm", "confirmed")
    )
    assert published == confirmed >= len(DONE)


def test_real_trouble_raises_the_alerts_that_are_meant_for_it(watched, rabbit):
    with rabbit.alarm():
        eventually("the broker's alarm", lambda: "PorelayBrokerMemoryAlarm" in watched.alerts(), within_s=30)
    eventually("its end", lambda: "PorelayBrokerMemoryAlarm" not in watched.alerts(), within_s=30)
    trainer = watched.mesh.processes[1]
    trainer.kill()
    eventually("a worker that is down", lambda: "PorelayWorkerDown" in watched.alerts(), within_s=30)
