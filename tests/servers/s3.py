"""An S3 server that tests fill, and may trouble where it is the tests' own."""

import hashlib
import http.client
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import urllib3
from minio import Minio
from minio.credentials import Credentials
from minio.deleteobjects import DeleteObject
from minio.signer import sign_v4_s3
from servers import roads


class User(NamedTuple):
    """Somebody who may log in."""

    name: str
    access_key: str
    secret_key: str


class S3Server:
    """An S3 server that the tests may fill: somebody else's, so it is neither paused nor restarted."""

    def __init__(self, url: str, access_key: str, secret_key: str) -> None:
        self.url, self.access_key, self.secret_key = url, access_key, secret_key
        self.buckets: list[str] = []

    def client(self) -> Minio:
        """Return a client of the administrator."""
        parts = urlsplit(self.url)
        return Minio(
            endpoint=parts.netloc,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=parts.scheme == "https",
            region="us-east-1",
        )

    def start(self) -> None:
        """Start it and wait until it answers."""

    @property
    def version(self) -> str:
        """What it says it is."""
        return urllib3.request("GET", self.url, timeout=10, retries=False).headers.get("Server", "of unknown make")

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name; its address is `f"{server.url}/{name}"`."""
        name = f"porelay-{uuid.uuid4().hex[:12]}"
        self.client().make_bucket(bucket_name=name)
        self.buckets.append(name)
        return name

    def broker_url(self, amqp_url: str) -> str:
        """Return where the server reaches a broker that the tests reach there; as guest."""
        parts = urlsplit(amqp_url)
        return f"amqp://{parts.hostname}:{parts.port or 5672}{parts.path}"

    def notify(self, bucket: str, amqp_url: str, exchange: str) -> None:
        """Have the server tell an exchange of every object that is created; the routing key is the bucket's name.

        The exchange must be there, a topic exchange or a fanout, on a virtual host that lets guest in.
        """
        pytest.skip("the server of PORELAY_TEST_S3_URL is not asked to send notifications: its set-up is its owner's")

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
        """Send a signed request as it is, of the kind that no client lets through; return status and answer."""
        url, now = urlsplit(self.url + path), datetime.now(UTC)
        digest = hashlib.sha256(body).hexdigest()
        own = {"Host": url.netloc, "x-amz-content-sha256": digest, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")}
        signed = sign_v4_s3(
            method=method,
            url=url,
            region="us-east-1",
            headers={**own, **headers},
            credentials=Credentials(self.access_key, self.secret_key),
            content_sha256=digest,
            date=now,
        )
        connection = http.client.HTTPConnection(url.netloc, timeout=20)
        connection.request(method, path, body, {name: str(value) for name, value in signed.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def new_user(self) -> User:
        """Make a user without any rights on what others own."""
        pytest.skip("no users are made on the server of PORELAY_TEST_S3_URL")

    def pause(self) -> None:
        """Let the gateway answer nothing more, its connections open."""
        pytest.skip("the server of PORELAY_TEST_S3_URL is not ours to pause")

    def resume(self) -> None:
        """Let the gateway answer again."""

    def stop_gateway(self) -> None:
        """Have connections refused; what is stored stays."""
        pytest.skip("the server of PORELAY_TEST_S3_URL is not ours to stop")

    def start_gateway(self) -> None:
        """Serve again what was stored."""

    def restart_gateway(self) -> None:
        """Stop the gateway and start it on the same port."""
        self.stop_gateway()
        self.start_gateway()

    def serve_tls(self, certificate: Path, key: Path) -> str:
        """Serve HTTPS, too; return its address."""
        pytest.skip("the server of PORELAY_TEST_S3_URL gets no certificates")

    def stop(self) -> None:
        """Delete the tests' buckets."""
        client = self.client()
        for bucket in self.buckets:
            keys = client.list_objects(bucket_name=bucket, recursive=True)
            list(client.remove_objects(bucket_name=bucket, delete_object_list=[_named(item) for item in keys]))
            client.remove_bucket(bucket_name=bucket)


def _named(item: object) -> DeleteObject:
    return DeleteObject(name=item.object_name)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def ceph() -> Iterator[S3Server]:
    """An S3 server: the one of `PORELAY_TEST_S3_URL`, else a Ceph gateway, in a container or of Debian's packages."""
    server = _open(roads.road_to(roads.S3).road)
    try:
        server.start()
        roads.note(roads.S3, server.version)
        yield server
    finally:
        server.stop()


def _open(road: str) -> S3Server:
    if road == "docker":
        from servers.ceph_container import CephContainer

        return CephContainer(roads.images[roads.S3])
    if road == "debian":
        from servers.ceph_debian import DebianCeph

        return DebianCeph()
    keys = os.environ["PORELAY_TEST_S3_ACCESS_KEY"], os.environ["PORELAY_TEST_S3_SECRET_KEY"]
    return S3Server(os.environ[roads.S3.url].rstrip("/"), *keys)
