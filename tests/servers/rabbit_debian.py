"""A RabbitMQ server of Debian's package.

It has node name, ports, cookie and data of its own in one temporary folder, and runs as the user `rabbitmq`, to whom
the folder is given: that takes root.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from servers import free_port
from servers.rabbit import Rabbit

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = SERVER.with_name("rabbitmqctl")
USER = "rabbitmq"
FOLDER = "porelay-rabbit"
START_S = 90.0


class RabbitServer(Rabbit):
    """A server of our own; `conf` are more lines of its `rabbitmq.conf`."""

    def __init__(self, conf: str = "") -> None:
        if not SERVER.exists():
            raise RuntimeError(
                "rabbitmq-server is not installed. Run deploy/apt-for-tests, or set PORELAY_TEST_AMQP_URL"
            )
        if os.geteuid() != 0:
            raise RuntimeError(
                "RabbitMQ runs as a user of its own: run the tests as root, or set PORELAY_TEST_AMQP_URL"
            )
        _sweep()
        port, http, metrics, distribution, epmd = (free_port() for _ in range(5))
        super().__init__(f"amqp://guest:guest@127.0.0.1:{port}", f"http://guest:guest@127.0.0.1:{http}")
        self.port = port
        self.metrics = f"127.0.0.1:{metrics}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-"))
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management, rabbitmq_prometheus].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http}\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {metrics}\n"
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
        while not self.answers():
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

    def _limit_memory(self, share: str) -> None:
        words = (CONTROL, "-n", self._environment["RABBITMQ_NODENAME"], "set_vm_memory_high_watermark", share)
        assert self._run(*words).wait(60) == 0

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
