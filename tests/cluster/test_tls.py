"""Both servers over TLS, with an authority of the tests' own."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.doctor import broker as broker_doctor
from porelay_kit.doctor import bucket as bucket_doctor
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_schemas.errors import BadInput, BrokerUnavailable

NEW_KEY = ("-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout")


class Authority:
    """A certificate authority, and the certificate of a server on this machine."""

    def __init__(self, folder: Path) -> None:
        self.file, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        secret = folder / "ca.key"
        self._openssl("req", "-x509", "-subj", "/CN=test authority", *NEW_KEY, secret, "-out", self.file)
        self._openssl(
            *("req", "-x509", "-subj", "/CN=localhost", *NEW_KEY, self.key, "-out", self.certificate),
            *("-CA", self.file, "-CAkey", secret, "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        )

    def _openssl(self, *words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def s3_url(ceph, authority: Authority) -> str:
    return f"{ceph.serve_tls(authority.certificate, authority.key)}/{ceph.new_bucket()}"


def s3_settings(ceph, url: str, ca_file: Path | None, cache: Path) -> Settings:
    keys = {"s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    return Settings(s3_url=url, s3_ca_file=ca_file, cache=cache, **keys)


def test_a_bucket_over_tls_passes_every_probe_arrays_too(ceph, s3_url: str, authority: Authority) -> None:
    """In a process of its own: the driver of arrays reads the authority once in its life."""
    environment = os.environ | {
        "PORELAY_S3_URL": s3_url,
        "PORELAY_S3_ACCESS_KEY": ceph.access_key,
        "PORELAY_S3_SECRET_KEY": ceph.secret_key,
        "PORELAY_S3_CA_FILE": str(authority.file),
    }
    command = [sys.executable, "-m", "porelay_kit", "doctor", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = {one["probe"]: one for one in json.loads(done.stdout) if one["subject"].startswith("store")}
    odd = {name: one for name, one in found.items() if one["verdict"] != "ok"}
    assert set(odd) == {"notifications", "space left"}, odd
    assert found["encryption"]["seen"] == "TLS, the server's certificate checked"
    assert done.returncode == 0


def test_a_bucket_whose_certificate_we_do_not_trust_is_refused_in_words(
    ceph, s3_url: str, stranger: Authority, tmp_path: Path
) -> None:
    for ca_file in (None, stranger.file):
        settings = s3_settings(ceph, s3_url, ca_file, tmp_path)
        with pytest.raises(BadInput, match=r"certificate is not trusted.*Set PORELAY_S3_CA_FILE"):
            open_store(settings).write("plans/a.json", b"{}")
        (found,) = bucket_doctor.check(settings)
        assert found.answer.unreachable
        assert "Set PORELAY_S3_CA_FILE" in found.answer.seen


@pytest.fixture(scope="module")
def amqp_url(rabbit, authority: Authority) -> str:
    """The address of a broker that asks its clients for certificates."""
    vhost = urlsplit(rabbit.new_vhost()).path
    return rabbit.serve_tls(authority.file, authority.certificate, authority.key) + vhost


def amqp_settings(url: str, ca_file: Path | None, client: Authority | None) -> Settings:
    pair = {"amqp_cert_file": client.certificate, "amqp_key_file": client.key} if client else {}
    return Settings(amqp_url=url, amqp_ca_file=ca_file, **pair)


def test_a_broker_over_tls_delivers_to_who_has_a_certificate(amqp_url: str, authority: Authority) -> None:
    with closing(RabbitBroker.open(amqp_settings(amqp_url, authority.file, authority))) as broker:
        broker.publish("segment", b"one")
        delivery = broker.get(("segment",), 5)
        assert delivery.body == b"one"
        broker.ack(delivery)


def test_the_doctor_sees_that_the_broker_is_encrypted(amqp_url: str, authority: Authority) -> None:
    settings = amqp_settings(amqp_url, authority.file, authority)
    found = {one.probe: one.answer for one in broker_doctor.check(settings)}
    assert found["encryption"].seen == "TLS, the server's certificate checked"
    assert {name for name, answer in found.items() if answer.verdict != "ok"} == {"topology"}


@pytest.mark.parametrize("who", ["none", "stranger"])
def test_a_client_without_a_certificate_of_the_authority_is_not_let_in(
    amqp_url: str, authority: Authority, stranger: Authority, who: str
) -> None:
    settings = amqp_settings(amqp_url, authority.file, {"none": None, "stranger": stranger}[who])
    with pytest.raises((BadInput, BrokerUnavailable), match="amqps://127"):
        RabbitBroker.open(settings)
    (found,) = broker_doctor.check(settings)
    assert found.answer.verdict == "fail"


def test_a_broker_whose_certificate_we_do_not_trust_is_refused_in_words(
    amqp_url: str, authority: Authority, stranger: Authority
) -> None:
    for ca_file in (None, stranger.file):
        settings = amqp_settings(amqp_url, ca_file, authority)
        with pytest.raises((BadInput, BrokerUnavailable), match=r"certificate.*PORELAY_AMQP_CA_FILE"):
            RabbitBroker.open(settings)
        (found,) = broker_doctor.check(settings)
        assert found.answer.unreachable
        assert "PORELAY_AMQP_CA_FILE" in found.answer.advice
