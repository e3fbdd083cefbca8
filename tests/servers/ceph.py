"""A Ceph S3 gateway of the tests' own: one monitor, one OSD in memory, one gateway, all below one temporary folder."""

import hashlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
import urllib3
from minio import Minio
from minio.credentials import Credentials
from minio.deleteobjects import DeleteObject
from minio.notificationconfig import NotificationConfig, TopicConfig
from minio.signer import sign_v4_s3
from servers import free_port

FOLDER = "porelay-ceph"
START_S = 60
DAEMONS = ("client.rgw.a", "mgr.x", "osd.0", "mon.a")

CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
crash dir = {folder}/crash
mon data = {folder}/mon
osd data = {folder}/osd
mgr data = {folder}/mgr
mgr initial modules =
mon data avail warn = 1
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0

[client.rgw.a]
rgw data = {folder}/rgw
rgw thread pool size = 64
rgw frontends = beast {endpoints} tcp_nodelay=1
"""

CAPS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx", "mgr": "allow rw"},
}


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

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name; its address is `f"{server.url}/{name}"`."""
        name = f"porelay-{uuid.uuid4().hex[:12]}"
        self.client().make_bucket(bucket_name=name)
        self.buckets.append(name)
        return name

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


class CephServer(S3Server):
    """A Ceph cluster of one node that keeps its data in memory, and its gateway."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}", "porelay", uuid.uuid4().hex)
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-"))
        self._fsid, self._mon, self._mon_v1 = str(uuid.uuid4()), free_port(), free_port()
        self._configure(f"endpoint=127.0.0.1:{port}")

    @classmethod
    def start(cls) -> "CephServer":
        """Return a server that answers."""
        server = cls()
        try:
            server._start_cluster()
            server.start_gateway()
            server._admin_user("admin", server.access_key, server.secret_key)
        except BaseException:
            server.stop()
            raise
        return server

    def _configure(self, endpoints: str) -> None:
        values = {"fsid": self._fsid, "mon": self._mon, "mon_v1": self._mon_v1, "endpoints": endpoints}
        text = CONFIGURATION.format(folder=self.folder, **values)
        (self.folder / "ceph.conf").write_text(text)

    def _start_cluster(self) -> None:
        for name in ("run", "log", "crash", "mon", "osd", "mgr", "rgw"):
            (self.folder / name).mkdir()
        keyring, monmap, osd = self.folder / "keyring", self.folder / "monmap", str(uuid.uuid4())
        keyring.touch()
        for name, caps in CAPS.items():
            flags = [word for where, what in caps.items() for word in ("--cap", where, what)]
            self._run("ceph-authtool", keyring, "--gen-key", "-n", name, *flags)
        address = f"[v2:127.0.0.1:{self._mon},v1:127.0.0.1:{self._mon_v1}]"
        self._run("monmaptool", "--create", "--addv", "a", address, "--fsid", self._fsid, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self._run("ceph-mon", "-i", "a")
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._run("ceph-osd", "-i", "0")
        self._run("ceph-mgr", "-i", "x")
        self._wait(lambda: "1 up" in self._run("ceph", "osd", "stat"), "the OSD to be up")

    def start_gateway(self) -> None:
        """Serve what is stored."""
        self._run("radosgw", "-n", "client.rgw.a")
        self._wait(self._answers, "the gateway to answer")

    def stop_gateway(self) -> None:
        """Have connections refused; what is stored stays."""
        self.resume()
        _end(self.folder, "client.rgw.a", signal.SIGTERM)

    def pause(self) -> None:
        """Let the gateway answer nothing more, its connections open."""
        _signal(self.folder, "client.rgw.a", signal.SIGSTOP)

    def resume(self) -> None:
        """Let the gateway answer again."""
        _signal(self.folder, "client.rgw.a", signal.SIGCONT)

    def serve_tls(self, certificate: Path, key: Path) -> str:
        """Serve HTTPS, too; return its address."""
        port, plain = free_port(), urlsplit(self.url).port
        secure = f"ssl_endpoint=127.0.0.1:{port} ssl_certificate={certificate} ssl_private_key={key}"
        self._configure(f"endpoint=127.0.0.1:{plain} {secure}")
        self.restart_gateway()
        return f"https://127.0.0.1:{port}"

    def new_user(self) -> User:
        """Make a user without any rights on what others own."""
        name = f"user-{uuid.uuid4().hex[:8]}"
        return self._admin_user(name, name, uuid.uuid4().hex)

    def _admin_user(self, name: str, access_key: str, secret_key: str) -> User:
        keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        self._run("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys)
        return User(name, access_key, secret_key)

    def notify(self, bucket: str, amqp_url: str, exchange: str) -> None:
        """Have the server tell an exchange of every object that is created; the routing key is the bucket's name."""
        parts = urlsplit(amqp_url)  # this Ceph refuses a user in the address, and logs in as guest
        attributes = {
            "push-endpoint": f"amqp://{parts.hostname}:{parts.port or 5672}{parts.path}",
            "amqp-exchange": exchange,
            "amqp-ack-level": "broker",
        }
        form = {"Action": "CreateTopic", "Name": bucket}
        for number, (key, value) in enumerate(attributes.items(), start=1):
            form |= {f"Attributes.entry.{number}.key": key, f"Attributes.entry.{number}.value": value}
        arn = re.search(r"<TopicArn>(.*?)</TopicArn>", self._form(form))
        assert arn, "no ARN in the answer to CreateTopic"
        topic = TopicConfig(topic=arn[1], events=["s3:ObjectCreated:*"], config_id=bucket)
        config = NotificationConfig(topic_config_list=[topic])
        self.client().set_bucket_notification(bucket_name=bucket, config=config)

    def _form(self, fields: dict[str, str]) -> str:
        """Send a form, as the gateway's notification interface wants it; return the answer."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answer = self.send("POST", "/", urlencode(fields).encode(), headers)
        assert status == 200, f"{fields['Action']}: {status} {answer!r}"
        return answer.decode()

    def stop(self) -> None:
        """End the daemons and delete everything."""
        _stop(self.folder)

    def _answers(self) -> bool:
        try:
            return urllib3.request("GET", self.url, timeout=1, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _run(self, program: str, *words: object) -> str:
        command = [program, *map(str, words)]
        if program not in ("ceph-authtool", "monmaptool"):
            command += ["--conf", f"{self.folder}/ceph.conf"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_S)
        if done.returncode:
            raise RuntimeError(f"{program}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {START_S} s for {what}; logs: {self.folder / 'log'}")
            time.sleep(0.2)


def _named(item: object) -> DeleteObject:
    return DeleteObject(name=item.object_name)  # type: ignore[attr-defined]


def _sweep() -> None:
    """Stop the servers of sessions that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}-*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists():
            _stop(folder)


def _stop(folder: Path) -> None:
    for daemon in DAEMONS:
        _end(folder, daemon, signal.SIGKILL)  # the data are in memory: there is nothing to save
    shutil.rmtree(folder, ignore_errors=True)


def _pid(folder: Path, daemon: str) -> int | None:
    """Return the process of a daemon of that folder, None where it does not run."""
    try:
        pid = int((folder / "run" / f"{daemon}.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(folder) in command else None


def _signal(folder: Path, daemon: str, number: signal.Signals) -> None:
    pid = _pid(folder, daemon)
    if pid is not None:
        os.kill(pid, number)


def _end(folder: Path, daemon: str, number: signal.Signals) -> None:
    end = time.monotonic() + 10
    _signal(folder, daemon, number)
    while _pid(folder, daemon) is not None:
        if time.monotonic() > end:
            _signal(folder, daemon, signal.SIGKILL)
        time.sleep(0.05)


@pytest.fixture(scope="session")
def ceph() -> Iterator[S3Server]:
    """An S3 server: a Ceph gateway of our own, or the one that `PORELAY_TEST_S3_URL` names."""
    url = os.environ.get("PORELAY_TEST_S3_URL")
    if url:
        keys = os.environ["PORELAY_TEST_S3_ACCESS_KEY"], os.environ["PORELAY_TEST_S3_SECRET_KEY"]
        server: S3Server = S3Server(url.rstrip("/"), *keys)
    else:
        server = CephServer.start()
    yield server
    server.stop()
