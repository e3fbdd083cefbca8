"""Each service can do its own work with its own users, and nothing else, on the real servers."""

import base64
import hashlib
import json
import queue
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from porelay_kit import security, volumes
from porelay_kit.broker.management import Management
from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.broker.topology import Topology, version_of
from porelay_kit.doctor import broker as doctor
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.policies import bucket_policy, ceph_user, grants
from porelay_kit.store.wire import Wire
from porelay_schemas.volumes import VolumeRef

from .conftest import Mesh, done, eventually

GRANTS = {grant.name: grant for grant in grants()}
USERS = ("porelay-operator", "porelay-segment", "porelay-ingest", "porelay-preprocess", "porelay-submit")


class Shared:
    """A bucket that the operator owns, with the policy of the deployment."""

    def __init__(self, ceph, folder: Path) -> None:
        self.folder, bucket = folder, f"shared-{uuid.uuid4().hex[:12]}"
        self.url = f"{ceph.url}/{bucket}"
        self.users = {name: ceph.new_user() for name in USERS}
        policy = bucket_policy([(GRANTS[name], ceph_user(user.name)) for name, user in self.users.items()], bucket)
        self.admin = self.wire("porelay-operator")
        self.admin.ask("PUT").checked()
        self.admin.ask("PUT", query={"policy": ""}, body=json.dumps(policy).encode()).checked()

    def of(self, name: str) -> Settings:
        user, cache = self.users[name], self.folder / name
        return Settings(s3_url=self.url, s3_access_key=user.access_key, s3_secret_key=user.secret_key, cache=cache)

    def wire(self, name: str) -> Wire:
        return Wire.open(self.of(name))


@pytest.fixture(scope="module")
def shared(ceph, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    made = Shared(ceph, tmp_path_factory.mktemp("shared"))
    for key in ("inbox/electrode/stack.tif", "artifacts/mesher/k/manifest.json", "artifacts/segment/k/manifest.json"):
        made.admin.ask("PUT", key, body=b"{}").checked()
    return made


@pytest.mark.parametrize(
    ("user", "method", "key", "status"),
    [
        ("porelay-segment", "GET", "inbox/electrode/stack.tif", 403),
        ("porelay-segment", "PUT", "inbox/electrode/other.tif", 403),
        ("porelay-segment", "DELETE", "inbox/electrode/stack.tif", 403),
        ("porelay-segment", "PUT", "artifacts/mesher/k/1/mesh.msh", 403),
        ("porelay-segment", "PUT", "artifacts/mesher/k/manifest.json", 403),
        ("porelay-segment", "GET", "artifacts/mesher/k/manifest.json", 200),
        ("porelay-segment", "GET", "artifacts/mesher/none/manifest.json", 404),
        ("porelay-segment", "PUT", "artifacts/segment/k/1/section.json", 200),
        ("porelay-segment", "DELETE", "artifacts/segment/k/1/section.json", 204),
        ("porelay-segment", "DELETE", "artifacts/segment/k/manifest.json", 403),
        ("porelay-segment", "PUT", "runs/r/results/segment.json", 200),
        ("porelay-segment", "DELETE", "runs/r/results/segment.json", 403),
        ("porelay-segment", "PUT", "plans/p.json", 403),
        ("porelay-ingest", "GET", "inbox/electrode/stack.tif", 200),
        ("porelay-ingest", "PUT", "inbox/electrode/stack.tif", 403),
        ("porelay-ingest", "PUT", "inbox/electrode/stack.tif.rejected.txt", 200),
        ("porelay-ingest", "PUT", "inbox/electrode/slices.rejected.txt", 200),
        ("porelay-ingest", "DELETE", "inbox/electrode/a.ome.tif.again", 204),
        ("porelay-ingest", "DELETE", "inbox/electrode/stack.tif", 403),
        ("porelay-submit", "PUT", "inbox/electrode/mine.tif", 200),
        ("porelay-submit", "PUT", "artifacts/segment/k/manifest.json", 403),
    ],
)
def test_a_user_of_the_bucket_may_do_only_that(shared: Shared, user: str, method: str, key: str, status: int) -> None:
    assert shared.wire(user).ask(method, key, body=b"{}" if method == "PUT" else b"").status == status


def test_one_request_to_delete_many_deletes_only_what_is_ones_own(shared: Shared) -> None:
    keys = ["artifacts/segment/k/1/a.json", "artifacts/mesher/k/1/a.json"]
    for key in keys:
        shared.admin.ask("PUT", key).checked()
    body = f"<Delete>{''.join(f'<Object><Key>{key}</Key></Object>' for key in keys)}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = {"Content-MD5": digest}
    shared.wire("porelay-segment").ask("POST", query={"delete": ""}, headers=headers, body=body).checked()
    assert [shared.admin.ask("HEAD", key).status for key in keys] == [404, 200]


def test_nobody_but_the_owner_changes_the_policy(shared: Shared) -> None:
    for name in set(shared.users) - {"porelay-operator"}:
        assert shared.wire(name).ask("DELETE", query={"policy": ""}).status == 403


def test_a_worker_commits_a_volume_of_its_own_stage_with_its_own_user(shared: Shared) -> None:
    store, prefix = open_store(shared.of("porelay-segment")), f"artifacts/segment/{'e' * 64}"
    workspace = store.begin(prefix)
    ref = VolumeRef(prefix=prefix, name="l.zarr", kind="labels", shape=(4, 5, 6), dtype="uint8", voxel_um=(1, 1, 1))
    values = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    volumes.create(ref, workspace.zarr_spec("l.zarr"), slab_bytes=2**20)[:] = values
    assert workspace.commit(b"{}")
    assert np.array_equal(volumes.Volume(ref, store.zarr_spec(f"{prefix}/l.zarr"))[:], values)


def test_a_training_keeps_and_drops_its_scratch_with_its_own_user(shared: Shared) -> None:
    store, prefix = open_store(shared.of("porelay-segment")), f"artifacts/segment/{'f' * 64}"
    for name in ("one", "two"):
        folder = store.scratch(prefix)
        (folder / name).write_text(name)
        store.keep_scratch(prefix)
        (folder / "one").unlink(missing_ok=True)
    store.keep_scratch(prefix)
    assert list(store.list(f"scratch/{prefix}")) == [f"scratch/{prefix}/two"]
    store.drop_scratch(prefix)
    assert list(store.list(f"scratch/{prefix}")) == []


class Site:
    """A virtual host as the files of `topology plan --out` set it up."""

    def __init__(self, rabbit, folder: Path) -> None:
        self.url, management = rabbit.new_vhost(topology=False), Management(rabbit.management_url)
        self.folder, vhost = folder, urlsplit(self.url).path[1:]
        version = version_of(management.get("overview")["rabbitmq_version"])
        site = security.Site.of(self.url, "http://s3.site/bucket")
        security.write(folder, site, Topology().definitions(vhost, version))
        definitions = json.loads((folder / "rabbitmq" / "definitions.json").read_text())
        answer = management.ask("POST", "definitions", definitions)
        assert answer.status in (201, 204), answer.data

    def url_of(self, user: str) -> str:
        return (self.folder / "secrets" / user / "amqp_url").read_text()

    def broker(self, user: str) -> RabbitBroker:
        return RabbitBroker(self.url_of(user), patience_s=5.0)


@pytest.fixture(scope="module")
def site(rabbit, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(rabbit, tmp_path_factory.mktemp("site"))


def heard(events: "queue.SimpleQueue[tuple[str, bytes]]") -> tuple[str, bytes]:
    return events.get(timeout=5)


def test_a_worker_does_its_own_work_end_to_end_with_its_own_user(site: Site) -> None:
    told: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    asked: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    with closing(site.broker("porelay-operator")) as operator, closing(site.broker("porelay-segment")) as worker:
        operator.subscribe("run.", lambda *event: told.put(event))
        worker.subscribe("control.", lambda *event: asked.put(event))
        operator.publish("segment", b"one")
        delivery = worker.get(("segment",), 5)
        worker.publish("mesher", b"two")
        worker.emit("run.r.segment.done", b"{}")
        worker.ack(delivery)
        assert heard(told) == ("run.r.segment.done", b"{}")
        operator.emit("control.run.r", b"cancel")
        assert heard(asked) == ("control.run.r", b"cancel")
        assert (operator.waiting("segment"), operator.waiting("mesher")) == ([], [b"two"])


def test_a_worker_puts_off_and_parks_with_its_own_user_and_an_operator_replays(site: Site) -> None:
    with closing(site.broker("porelay-operator")) as operator, closing(site.broker("porelay-sampler")) as worker:
        for body in (b"later", b"never"):
            operator.publish("sampler", body)
        assert worker.retry(worker.get(("sampler",), 5), OSError("busy"))
        worker.park(worker.get(("sampler",), 5), ValueError("bad"))
        assert [(letter.body, letter.text) for letter in operator.dead_letters("sampler")] == [(b"never", "bad")]
        assert operator.sift("sampler", lambda letter: b"again") == 1
        assert worker.get(("sampler",), 5).body == b"again"


def test_ingest_takes_notifications_of_drops_and_the_server_of_the_bucket_sends_them(site: Site) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(site.url_of("porelay-bucket")))) as server:
        channel = server.channel()
        channel.exchange_declare("ingest", "fanout", durable=True)  # as MinIO does each time
        returned = channel.queue_declare("", exclusive=True).method.queue  # as Ceph does where it waits for confirms
        channel.basic_consume(returned, lambda *_: None)
        channel.confirm_delivery()
        channel.basic_publish("ingest", "any", b"event", mandatory=True)
    with closing(site.broker("porelay-ingest")) as worker:
        assert worker.get(("intake",), 5).body == b"event"


REFUSED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "read another's queue": ("porelay-segment", lambda channel: channel.basic_get("mesher.v1")),
    "read dead letters": ("porelay-segment", lambda channel: channel.basic_get("dlq.segment.v1")),
    "declare a queue": ("porelay-segment", lambda channel: channel.queue_declare("mine", durable=True)),
    "delete its own queue": ("porelay-segment", lambda channel: channel.queue_delete("segment.v1")),
    "declare an exchange": ("porelay-segment", lambda channel: channel.exchange_declare("mine")),
    "send commands": ("porelay-segment", lambda channel: channel.basic_publish("control", "all", b"")),
    "send around the exchanges": ("porelay-segment", lambda channel: channel.basic_publish("", "mesher.v1", b"")),
    "tell of another's stage": (
        "porelay-segment",
        lambda channel: channel.basic_publish("events", "run.r.mesher.done", b""),
    ),
    "park another's request": ("porelay-segment", lambda channel: channel.basic_publish("dlx", "mesher.v1", b"")),
    "bind a work queue elsewhere": (
        "porelay-segment",
        lambda channel: channel.queue_bind("segment.v1", "events", "#"),
    ),
    "forge a drop": ("porelay-mesher", lambda channel: channel.basic_publish("ingest", "", b"")),
    "ask for work as who drops stacks": (
        "porelay-submit",
        lambda channel: channel.basic_publish("work", "segment.v1", b""),
    ),
    "declare as an operator": ("porelay-operator", lambda channel: channel.queue_declare("mine", durable=True)),
    "work as the bucket's server": ("porelay-bucket", lambda channel: channel.basic_get("intake.v1")),
    "work as the monitor": ("porelay-monitor", lambda channel: channel.basic_get("segment.v1")),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_user_of_the_broker_may_not(site: Site, what: str) -> None:
    user, act = REFUSED[what]
    with closing(pika.BlockingConnection(pika.URLParameters(site.url_of(user)))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(ChannelClosedByBroker) as refusal:
            act(channel)
    assert refusal.value.reply_code == 403


def test_an_operator_may_run_every_probe_of_the_doctor(site: Site) -> None:
    found = {one.probe: one.answer for one in doctor.check(Settings(amqp_url=site.url_of("porelay-operator")))}
    assert {name: answer.seen for name, answer in found.items() if answer.verdict not in ("ok", "unknown")} == {}
    assert {name for name, answer in found.items() if answer.verdict == "unknown"} == {"topology"}


def test_a_run_is_done_by_workers_each_with_its_own_users(shared: Shared, site: Site, tmp_path: Path) -> None:
    keys = {"s3_url": shared.url, "s3_access_key": shared.admin.access_key, "s3_secret_key": shared.admin.secret_key}
    with closing(Mesh(tmp_path, amqp_url=site.url_of("porelay-operator"), **keys)) as mesh:
        for stage in ("ingest", "preprocess"):
            name = f"porelay-{stage}"
            user = shared.users[name]
            environment = {"AMQP_URL": site.url_of(name), "CACHE": str(tmp_path / name)}
            environment |= {"S3_ACCESS_KEY": user.access_key, "S3_SECRET_KEY": user.secret_key}
            mesh.serve(stage, **{f"PORELAY_{key}": value for key, value in environment.items()})
        state = mesh.begin(1)
        report = f"{state.prefix}/report.html"
        eventually("the report is there", lambda: state.store.exists(report) or state.failures(), within_s=60)
        assert state.failures() == {} and done(state), mesh.logs()
