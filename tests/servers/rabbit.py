"""A RabbitMQ server that tests fill, and may trouble where it is the tests' own."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pika
import pytest
import urllib3
from pika.exceptions import AMQPError
from servers import roads

from porelay_kit.broker.base import RETRY_LADDER_S
from porelay_kit.broker.topology import Topology, version_of


class Rabbit:
    """A server that is reached by AMQP and by its HTTP interface."""

    def __init__(self, url: str, management_url: str) -> None:
        self.url, self.management_url = url.rstrip("/"), management_url.rstrip("/")
        parts = urlsplit(self.management_url)
        self._api = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}/api"
        self._headers = urllib3.make_headers(basic_auth=f"{parts.username}:{parts.password}")
        self._user = parts.username
        self._vhosts: list[str] = []
        self.metrics = os.environ.get("PORELAY_TEST_AMQP_METRICS", f"{parts.hostname}:15692")
        """Where its plugin rabbitmq_prometheus answers."""

    def ask(self, method: str, path: str, body: object = None) -> urllib3.BaseHTTPResponse:
        """Send a request to the HTTP interface."""
        answer = urllib3.request(method, f"{self._api}/{path}", headers=self._headers, json=body, retries=False)
        assert answer.status < 400, f"{method} {path}: {answer.status} {answer.data!r}"
        return answer

    @property
    def version(self) -> tuple[int, ...]:
        """Its version, such as (3, 10, 8)."""
        return version_of(self.ask("GET", "overview").json()["rabbitmq_version"])

    def new_vhost(self, *, topology: bool = True, retry_ladder_s: tuple[float, ...] = RETRY_LADDER_S) -> str:
        """Return the address of a new virtual host, the topology in it unless it is not wanted."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        self._vhosts.append(name)
        self._make(name, Topology(retry_ladder_s=retry_ladder_s) if topology else None)
        return f"{self.url}/{name}"

    def _make(self, vhost: str, topology: Topology | None) -> None:
        self.ask("PUT", f"vhosts/{quote(vhost, safe='')}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.ask("PUT", f"permissions/{quote(vhost, safe='')}/{self._user}", everything)
        if topology is None:
            return
        for policy in topology.policies(self.version):
            body = {"pattern": policy.pattern, "definition": policy.definition, "apply-to": "queues"}
            self.ask("PUT", f"policies/{quote(vhost, safe='')}/{policy.name}", body)
        connection = pika.BlockingConnection(pika.URLParameters(f"{self.url}/{vhost}"))
        topology.declare(connection.channel())
        connection.close()

    def wipe(self, url: str) -> None:
        """Lose all that a virtual host holds; its topology is there again afterwards, empty."""
        vhost = urlsplit(url).path.lstrip("/")
        self.ask("DELETE", f"vhosts/{quote(vhost, safe='')}")
        self._make(vhost, Topology())

    def cut(self, url: str, *, connections: int = 1) -> None:
        """Close so many connections to a virtual host, as a network that fails does."""
        path = f"vhosts/{quote(urlsplit(url).path.lstrip('/'), safe='')}/connections"
        deadline = time.monotonic() + 30
        while len(found := self.ask("GET", path).json()) < connections:
            assert time.monotonic() < deadline, f"{len(found)} connections, wanted {connections}"
            time.sleep(0.2)  # the list is some seconds old
        for connection in found:
            self.ask("DELETE", f"connections/{quote(connection['name'], safe='')}")

    def answers(self) -> bool:
        """Whether it takes connections, and its HTTP interface requests."""
        try:
            self.ask("GET", "overview")
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (OSError, urllib3.exceptions.HTTPError, AMQPError, AssertionError):
            return False
        return True

    @contextmanager
    def alarm(self) -> Iterator[None]:
        """Let the server be low on memory: it takes no messages meanwhile."""
        self._limit_memory("0.00001")
        try:
            yield
        finally:
            self._limit_memory("0.4")

    def _limit_memory(self, share: str) -> None:
        pytest.skip("the server that PORELAY_TEST_AMQP_URL names is not ours to alarm")

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it."""
        pytest.skip("the server that PORELAY_TEST_AMQP_URL names is not ours to stop")

    def kill(self) -> None:
        """Stop it as a power failure does."""
        self.stop()

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def serve_tls(self, authority: Path, certificate: Path, key: Path) -> str:
        """Serve TLS, too, for clients with a certificate of the authority; return its address."""
        pytest.skip("the server that PORELAY_TEST_AMQP_URL names gets no certificates")

    def close(self) -> None:
        """Delete what the tests have made."""
        for vhost in self._vhosts:
            self.ask("DELETE", f"vhosts/{quote(vhost, safe='')}")


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """A RabbitMQ server: the one of `PORELAY_TEST_AMQP_URL`, a container, or one of Debian's package."""
    server = _open(roads.road_to(roads.RABBITMQ).road)
    try:
        server.start()
        roads.note(roads.RABBITMQ, ".".join(map(str, server.version)))
        yield server
    finally:
        server.close()


def _open(road: str) -> Rabbit:
    if road == "docker":
        from servers.rabbit_container import RabbitContainer

        return RabbitContainer(roads.images[roads.RABBITMQ])
    if road == "debian":
        from servers.rabbit_debian import RabbitServer

        return RabbitServer()
    url = os.environ[roads.RABBITMQ.url]
    who, host = urlsplit(url).netloc.rpartition("@")[0] or "guest:guest", urlsplit(url).hostname
    return Rabbit(url, os.environ.get("PORELAY_TEST_AMQP_MANAGEMENT_URL", f"http://{who}@{host}:15672"))
