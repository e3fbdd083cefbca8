"""A RabbitMQ server of the tests' own, or the one that `PORELAY_TEST_AMQP_URL` names.

Debian's `rabbitmq-server`, with node name, ports, cookie and data of its own in one temporary folder. It runs as the
user `rabbitmq`, to whom the folder is given: that takes root.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pika
import pytest
import urllib3
from servers import free_port

from porelay_kit.broker.base import RETRY_LADDER_S
from porelay_kit.broker.topology import Topology, version_of

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = SERVER.with_name("rabbitmqctl")
USER = "rabbitmq"
FOLDER = "porelay-rabbit"
START_S = 90.0


class Rabbit:
    """A server that is reached by AMQP and by its HTTP interface."""

    def __init__(self, url: str, management_url: str) -> None:
        self.url, self.management_url = url.rstrip("/"), management_url.rstrip("/")
        parts = urlsplit(self.management_url)
        self._api = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}/api"
        self._headers = urllib3.make_headers(basic_auth=f"{parts.username}:{parts.password}")
        self._user = parts.username
        self._vhosts: list[str] = []

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

    @contextmanager
    def alarm(self) -> Iterator[None]:
        """Let the server be low on memory: it takes no messages meanwhile."""
        pytest.skip("the server that PORELAY_TEST_AMQP_URL names is not ours to alarm")
        yield

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


class RabbitServer(Rabbit):
    """A server of our own; `conf` are more lines of its `rabbitmq.conf`."""

    def __init__(self, conf: str = "") -> None:
        if not SERVER.exists():
            raise RuntimeError("rabbitmq-server is not installed. As root: apt-get install rabbitmq-server")
        if os.geteuid() != 0:
            raise RuntimeError(
                "RabbitMQ runs as a user of its own: run the tests as root, or set PORELAY_TEST_AMQP_URL"
            )
        _sweep()
        port, http, distribution, epmd = (free_port() for _ in range(4))
        super().__init__(f"amqp://guest:guest@127.0.0.1:{port}", f"http://guest:guest@127.0.0.1:{http}")
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-"))
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http}\n"
            f"disk_free_limit.absolute = 50MB\nlog.console = false\n{conf}\n"
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_NODENAME": f"porelay-{self.folder.name[-8:]}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._names: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        who = pwd.getpwnam(USER)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, who.pw_uid, who.pw_gid)
        self._names = self._run("epmd", "-address", "127.0.0.1")  # ours to end; else the server leaves one behind
        self._process = self._run(SERVER)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not start: {(self.folder / 'out.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def _run(self, *words: str | Path) -> "subprocess.Popen[bytes]":
        """Start a program as the server's user."""
        who = pwd.getpwnam(USER)
        with (self.folder / "out.log").open("ab") as log:
            process = subprocess.Popen(
                words,
                env=self._environment,
                cwd=self.folder,
                user=who.pw_uid,
                group=who.pw_gid,
                extra_groups=[],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with suppress(OSError):  # it ended at once
            (self.folder / f"process-{process.pid}").write_bytes(Path(f"/proc/{process.pid}/cmdline").read_bytes())
        return process

    @contextmanager
    def alarm(self) -> Iterator[None]:
        """Let the server be low on memory: it takes no messages meanwhile."""
        self._limit_memory("0.00001")
        try:
            yield
        finally:
            self._limit_memory("0.4")

    def _limit_memory(self, share: str) -> None:
        words = (CONTROL, "-n", self._environment["RABBITMQ_NODENAME"], "set_vm_memory_high_watermark", share)
        assert self._run(*words).wait(60) == 0

    def _answers(self) -> bool:
        try:
            self.ask("GET", "overview")
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except (OSError, urllib3.exceptions.HTTPError, AssertionError):
            return False

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it as a power failure does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, number)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
        if self._names is not None:
            self._names.kill()
            self._names.wait()

    def serve_tls(self, authority: Path, certificate: Path, key: Path) -> str:
        """Serve TLS, too, for clients with a certificate of the authority; return its address."""
        port = free_port()
        given = {"cacertfile": authority, "certfile": certificate, "keyfile": key}
        ours = {name: str(shutil.copy(path, self.folder / name)) for name, path in given.items()}
        options = ours | {"verify": "verify_peer", "fail_if_no_peer_cert": "true"}
        with (self.folder / "rabbitmq.conf").open("a") as conf:
            conf.write(f"listeners.ssl.local = 127.0.0.1:{port}\n")
            conf.writelines(f"ssl_options.{name} = {value}\n" for name, value in options.items())
        self.restart()
        return f"amqps://guest:guest@127.0.0.1:{port}"

    def close(self) -> None:
        """Stop it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _sweep() -> None:
    """End the servers of sessions that were killed, and delete what they left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}-*-*"):
        if Path(f"/proc/{folder.name.split('-')[2]}").exists():
            continue
        for process in folder.glob("process-*"):
            with suppress(OSError):
                if process.read_bytes() == Path(f"/proc/{process.name[8:]}/cmdline").read_bytes():
                    os.killpg(int(process.name[8:]), signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """A RabbitMQ server: our own, or the one that `PORELAY_TEST_AMQP_URL` names."""
    url = os.environ.get("PORELAY_TEST_AMQP_URL")
    if url:
        who, host = urlsplit(url).netloc.rpartition("@")[0] or "guest:guest", urlsplit(url).hostname
        http = os.environ.get("PORELAY_TEST_AMQP_MANAGEMENT_URL", f"http://{who}@{host}:15672")
        server: Rabbit = Rabbit(url, http)
    else:
        server = RabbitServer()
        server.start()
    yield server
    server.close()
