"""A Ceph cluster of one node that keeps its data in memory, and its S3 gateway, wherever its programs run."""

import re
import signal
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import urlencode

import urllib3
from minio.notificationconfig import NotificationConfig, TopicConfig
from servers.s3 import S3Server, User

START_S = 60
GATEWAY = "client.rgw.a"

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


class Ports(NamedTuple):
    """Where it listens: the gateway's interface and ports, and the monitor's ports on the loopback."""

    interface: str
    http: int
    https: int
    mon: int
    mon_v1: int


class CephServer(S3Server, ABC):
    """One monitor, one OSD, one gateway, all below one folder; what runs there says the road."""

    def __init__(self, url: str, folder: PurePath, ports: Ports) -> None:
        super().__init__(url, "porelay", uuid.uuid4().hex)
        self.folder, self.ports, self._fsid = folder, ports, str(uuid.uuid4())

    @abstractmethod
    def run(self, *words: str) -> tuple[int, str]:
        """Run a program where the cluster is; return exit code and output."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> str:
        """Write a file below the folder; return its path."""

    @abstractmethod
    def signal(self, daemon: str, number: signal.Signals | int) -> bool:
        """Send a signal to a daemon; return whether it runs. Signal 0 only asks."""

    @property
    def version(self) -> str:
        """What it says it is, such as `Ceph 16.2.15`."""
        return "Ceph " + self._ask("ceph", "--version").split()[2]

    def start(self) -> None:
        """Start the cluster and wait until the gateway answers."""
        self._configure()
        self._start_cluster()
        self.start_gateway()
        self._admin_user("admin", self.access_key, self.secret_key)

    def _configure(self, secure: str = "") -> None:
        endpoints = f"endpoint={self.ports.interface}:{self.ports.http} {secure}"
        ports = {"mon": self.ports.mon, "mon_v1": self.ports.mon_v1}
        text = CONFIGURATION.format(folder=self.folder, fsid=self._fsid, endpoints=endpoints, **ports)
        self.put("ceph.conf", text.encode())

    def _start_cluster(self) -> None:
        self._ask("mkdir", *(self.folder / name for name in ("run", "log", "crash", "mon", "osd", "mgr", "rgw")))
        monmap, osd, keyring = self.folder / "monmap", str(uuid.uuid4()), self.put("keyring", b"")
        for name, caps in CAPS.items():
            flags = [word for where, what in caps.items() for word in ("--cap", where, what)]
            self._ask("ceph-authtool", keyring, "--gen-key", "-n", name, *flags)
        address = f"[v2:127.0.0.1:{self.ports.mon},v1:127.0.0.1:{self.ports.mon_v1}]"
        self._ask("monmaptool", "--create", "--addv", "a", address, "--fsid", self._fsid, monmap)
        self._ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self._ceph("ceph-mon", "-i", "a")
        self._ceph("ceph", "osd", "new", osd)
        self._ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._ceph("ceph-osd", "-i", "0")
        self._ceph("ceph-mgr", "-i", "x")
        self._wait(lambda: "1 up" in self._ceph("ceph", "osd", "stat"), "the OSD to be up")

    def start_gateway(self) -> None:
        """Serve what is stored."""
        self._ceph("radosgw", "-n", GATEWAY)
        self._wait(self._answers, "the gateway to answer")

    def stop_gateway(self) -> None:
        """Have connections refused; what is stored stays."""
        self.resume()
        self.signal(GATEWAY, signal.SIGTERM)
        end = time.monotonic() + 10
        while self.signal(GATEWAY, 0):
            if time.monotonic() > end:
                self.signal(GATEWAY, signal.SIGKILL)
            time.sleep(0.05)

    def pause(self) -> None:
        """Let the gateway answer nothing more, its connections open."""
        self.signal(GATEWAY, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the gateway answer again."""
        self.signal(GATEWAY, signal.SIGCONT)

    def serve_tls(self, certificate: Path, key: Path) -> str:
        """Serve HTTPS, too; return its address."""
        theirs = self.put("server.pem", certificate.read_bytes()), self.put("server.key", key.read_bytes())
        endpoint = f"ssl_endpoint={self.ports.interface}:{self.ports.https}"
        self._configure(f"{endpoint} ssl_certificate={theirs[0]} ssl_private_key={theirs[1]}")
        self.restart_gateway()
        return self.https_url

    @property
    @abstractmethod
    def https_url(self) -> str:
        """Its address where it serves HTTPS."""

    def new_user(self) -> User:
        """Make a user without any rights on what others own."""
        name = f"user-{uuid.uuid4().hex[:8]}"
        return self._admin_user(name, name, uuid.uuid4().hex)

    def _admin_user(self, name: str, access_key: str, secret_key: str) -> User:
        keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        self._ceph("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys)
        return User(name, access_key, secret_key)

    def notify(self, bucket: str, amqp_url: str, exchange: str) -> None:
        """Have the server tell an exchange of every object that is created; the routing key is the bucket's name."""
        attributes = {
            "push-endpoint": self.broker_url(amqp_url),
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

    def _answers(self) -> bool:
        try:
            return urllib3.request("GET", self.url, timeout=1, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _ceph(self, program: str, *words: object) -> str:
        return self._ask(program, *words, "--conf", f"{self.folder}/ceph.conf")

    def _ask(self, *words: object) -> str:
        code, output = self.run(*map(str, words))
        if code:
            raise RuntimeError(f"{words[0]}: exit code {code}\n{output}")
        return output

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {START_S} s for {what}; logs: {self.folder / 'log'}")
            time.sleep(0.2)
