"""The intake on a real bucket, and with its real notifications on a real broker."""

import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pika
import pytest
import tifffile
from minio import Minio

from porelay_ingest.intake import taking
from porelay_ingest.intake.completeness import Patience
from porelay_ingest.intake.keeper import Keeper, bucket_of
from porelay_ingest.intake.ledger import Ledger
from porelay_ingest.intake.taking import Taker
from porelay_kit import planning
from porelay_kit.bench import Bench, Control
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.runner import drops
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import IngestRequest
from porelay_schemas.route import STAGES
from porelay_schemas.volumes import ArtifactRef

MEMORY = 2**31
KEY = "inbox/electrode/a b+c.tif"


class Site:
    """A bucket, its settings and store, and a user who drops with the minio client."""

    def __init__(self, server, folder):
        self.bucket = server.new_bucket()
        self.client: Minio = server.client()
        self.settings = Settings(
            s3_url=f"{server.url}/{self.bucket}",
            s3_access_key=server.access_key,
            s3_secret_key=server.secret_key,
            cache=folder / "cache",
            max_memory_bytes=MEMORY,
        )
        self.store = open_store(self.settings)
        self.ledger = Ledger(self.store)

    def drop(self, key, data):
        self.client.put_object(bucket_name=self.bucket, object_name=key, data=io.BytesIO(data), length=len(data))

    def keeper(self, broker, **patience):
        taker = Taker(broker, self.store, MEMORY)
        return Keeper(taker, Patience(**patience), planning.shipped(), bucket_of(self.settings.s3_url))


@pytest.fixture
def site(ceph, tmp_path):
    return Site(ceph, tmp_path)


def tiff(value=0, shape=(3, 24, 20), **how):
    file = io.BytesIO()
    tifffile.imwrite(file, (np.arange(np.prod(shape)).reshape(shape) + value).astype(np.uint8), **how)
    return file.getvalue()


def asked(broker, timeout_s=0.0):
    found = []
    while (delivery := broker.get(("ingest",), 0.0 if found else timeout_s)) is not None:
        broker.ack(delivery)
        found.append(IngestRequest.model_validate_json(delivery.body))
    return found


def test_a_bucket_without_notifications_is_swept(site):
    broker = MemoryBroker((*STAGES, "intake"))
    keeper = site.keeper(broker)
    site.drop(KEY, tiff())
    slices = {f"{number:03d}.tif": tiff(number, (24, 20)) for number in range(4)}
    marker = drops.marker({name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in slices.items()})
    for name, data in slices.items():
        site.drop(f"inbox/labels/s/{name}", data)
    site.drop("inbox/labels/s/_complete.json", marker)
    site.drop("inbox/electrode/bad.tif", b"not an image")
    site.drop("inbox/electrode/late/1.tif", tiff(1, (24, 20)))
    keeper.turn(0.0)
    file, folder = asked(broker)
    assert (file.stack.uri, file.stack.sha256) == (KEY, hashlib.sha256(tiff()).hexdigest())
    assert folder.stack.uri == "inbox/labels/s" and folder.stack.size_bytes == sum(map(len, slices.values()))
    assert b"unknown format" in site.store.read("inbox/electrode/bad.tif.rejected.txt")
    assert "1 slice so far" in site.ledger.of("inbox/electrode/late").text
    keeper.sweep()
    site.keeper(broker).sweep()
    assert asked(broker) == []


def test_the_stage_reads_what_was_dropped_and_nothing_else(site):
    from porelay_ingest.stage import run

    broker = MemoryBroker((*STAGES, "intake"))
    site.drop(KEY, tiff(imagej=True, resolution=(20, 20), metadata={"axes": "ZYX", "spacing": 0.1, "unit": "um"}))
    for number in range(3):
        site.drop(f"inbox/labels/s/{number}.tif", tiff(number, (24, 20)))
    site.drop("inbox/labels/s/.done", b"")
    site.keeper(broker).sweep()
    file, folder = asked(broker)
    folder = folder.model_copy(update={"voxel_um": (1.0, 1.0, 1.0)})

    def stage(request, key):
        artifact = ArtifactRef(stage="ingest", key=key * 64)
        return run(request, Bench(artifact, site.store, site.store.begin(artifact.prefix), site.settings, Control()))

    assert stage(file, "a").volume.shape == (3, 24, 20)
    assert stage(folder, "b").volume.shape == (3, 24, 20)
    site.drop(KEY, tiff(9))
    site.drop("inbox/labels/s/2.tif", tiff(9, (24, 20)))
    for request in (file, folder):
        with pytest.raises(BadInput, match="changed since it was dropped"):
            stage(request, "c")


@pytest.fixture
def bus(rabbit):
    """A virtual host with the whole topology: its address, and a broker on it."""
    url = rabbit.new_vhost()
    with closing(RabbitBroker(url)) as broker:
        yield url, broker


def test_a_drop_with_any_client_is_told_by_the_bucket_and_becomes_a_run(site, ceph, bus, tmp_path):
    """Real notifications over a real broker; the sweep of the beginning has passed, so nothing else finds the drop."""
    url, broker = bus
    keeper = site.keeper(broker)
    keeper.turn(0.0)
    ceph.notify(site.bucket, url, "ingest")
    site.drop(KEY, tiff())
    site.drop("artifacts/a.tif", tiff())
    (tmp_path / "large.npy").write_bytes(npy(12 * 2**20))
    site.client.fput_object(
        bucket_name=site.bucket,
        object_name="inbox/measure/large.npy",
        file_path=str(tmp_path / "large.npy"),
        part_size=5 * 2**20,
    )
    for number in range(3):
        site.drop(f"inbox/labels/s/{number}.tif", tiff(number, (24, 20)))
    site.drop("inbox/labels/s/.done", b"")
    site.drop(KEY, tiff())
    found = []
    deadline = time.monotonic() + 30
    while len(found) < 3 and time.monotonic() < deadline:
        keeper.turn(0.5)
        found += asked(broker)
    assert {request.stack.uri for request in found} == {KEY, "inbox/measure/large.npy", "inbox/labels/s"}
    for _ in range(6):
        keeper.turn(0.5)
    assert asked(broker) == [], "what was dropped again is the same run"
    assert broker.get(("intake",), 0.0) is None and broker.dead_letters("intake") == []
    assert {record.state for record in site.ledger.all()} == {"started"}


def test_what_is_no_notification_is_parked_with_its_reason(site, bus):
    url, broker = bus
    keeper = site.keeper(broker)
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        connection.channel().basic_publish("ingest", "anything", b"not a notification")
    deadline = time.monotonic() + 20
    while not broker.dead_letters("intake") and time.monotonic() < deadline:
        keeper.turn(0.2)
    (letter,) = broker.dead_letters("intake")
    assert letter.error == "BadMessage" and "Bind nothing but buckets" in letter.text
    site.drop(KEY, tiff())
    keeper.sweep()
    assert len(asked(broker, 10.0)) == 1


def npy(nbytes):
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).integers(0, 256, (nbytes // 2**20, 1024, 1024), np.uint8))
    return file.getvalue()


def test_several_keepers_of_a_bucket_check_a_drop_once(site, monkeypatch):
    checks, brokers = [], [MemoryBroker((*STAGES, "intake")) for _ in range(4)]

    def slow(path, name, memory, limits):
        checks.append(name)
        time.sleep(1.0)

    monkeypatch.setattr(taking, "preflight", slow)
    for number in range(3):
        site.drop(f"inbox/electrode/{number}.tif", tiff(number))
    keepers = [site.keeper(broker) for broker in brokers]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Keeper.sweep, keepers))
        list(pool.map(Keeper.sweep, keepers))
    assert sorted(checks) == ["0.tif", "1.tif", "2.tif"]
    assert sum(len(asked(broker)) for broker in brokers) == 3
    assert not [key for key in site.store.list("intake") if key.endswith(".claim")]
