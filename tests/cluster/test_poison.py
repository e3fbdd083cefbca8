"""What can never succeed is parked with its reason, and the queue behind it goes on."""

import json
from pathlib import Path

import pika
import pytest

from porelay_kit.broker.base import MAX_BODY_BYTES

from .conftest import SMALL, Mesh, done, eventually

CRASH = '''
import os
import signal

from porelay_schemas.base import Params
from porelay_schemas.filters import local


class CrashParams(Params):
    """None."""


@local(halo=lambda params: (0, 0, 0))
def crash(grey, params: CrashParams):
    """Kill the process that runs it, as a fault in a native library would."""
    os.kill(os.getpid(), signal.SIGSEGV)
'''


@pytest.fixture
def crashing(tmp_path: Path) -> Path:
    """A folder with an installed plugin: the filter `crash`."""
    folder = tmp_path / "site"
    info = folder / "acme_crash-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-crash\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[porelay.filter]\ncrash = acme_crash:crash\n")
    (folder / "acme_crash.py").write_text(CRASH)
    return folder


def send(mesh: Mesh, stage: str, body: bytes) -> None:
    """Publish a body as somebody would who does not know us."""
    connection = pika.BlockingConnection(pika.URLParameters(mesh.settings.amqp_url.get_secret_value()))
    connection.channel().basic_publish("work", f"{stage}.v1", body)
    connection.close()


def test_malformed_messages_are_parked_with_their_reason_and_the_queue_goes_on(mesh):
    good = mesh.begin(0)
    request = json.loads(mesh.store.read(f"{good.prefix}/requests/ingest.json"))
    send(mesh, "preprocess", b"{not json")
    send(mesh, "preprocess", json.dumps(request | {"schema_version": 99}).encode())
    send(mesh, "preprocess", json.dumps(request).encode())
    send(mesh, "preprocess", b"x" * (MAX_BODY_BYTES + 1))
    send(mesh, "ingest", json.dumps(request | {"use": [{"method": "nothing_like_it"}]}).encode())
    mesh.serve("ingest", "preprocess")
    eventually("the good run is done", lambda: done(good), within_s=60)
    eventually("five letters are dead", lambda: len(letters(mesh)) == 5, within_s=20)
    reasons = " | ".join(f"{letter.error}: {letter.text}" for letter in letters(mesh))
    for word in ("no request of this version", "schema_version", "wrong queue", str(MAX_BODY_BYTES), "nothing_like_it"):
        assert word in reasons, reasons


def letters(mesh: Mesh) -> list:
    """Return all dead letters of the small plan's stages."""
    return [letter for stage in ("ingest", "preprocess") for letter in mesh.broker.dead_letters(stage)]


@pytest.mark.slow
def test_a_message_that_kills_its_worker_is_parked_and_the_queue_behind_it_goes_on(mesh, crashing, monkeypatch):
    monkeypatch.syspath_prepend(str(crashing))
    (mesh.folder / "small.yaml").write_text(SMALL.replace("[min_max, gaussian]", "[crash]"))
    poison = mesh.begin(0)
    (mesh.folder / "small.yaml").write_text(SMALL)
    good = mesh.begin(1)
    mesh.serve("--all", PYTHONPATH=f"{crashing}")
    eventually("the good run is done", lambda: done(good), within_s=120)
    eventually("the poison is parked", lambda: mesh.broker.dead_letters("preprocess"), within_s=120)
    (letter,) = mesh.broker.dead_letters("preprocess")
    assert poison.run_id.encode() in letter.body and letter.error == "DeliveryLimit"
    assert not done(poison)


def test_a_mesh_without_a_topology_is_refused_in_words(mesh, rabbit):
    done_ = mesh.command("serve", "ingest", PORELAY_AMQP_URL=rabbit.new_vhost(topology=False))
    assert done_.returncode == 2, done_.stderr
    assert "porelay topology apply" in done_.stderr
