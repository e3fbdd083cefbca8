"""A Ceph S3 gateway of Debian's packages, all of it below one temporary folder."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from servers import free_port
from servers.ceph import GATEWAY, START_S, CephServer, Ports

FOLDER = "porelay-ceph"
DAEMONS = (GATEWAY, "mgr.x", "osd.0", "mon.a")


class DebianCeph(CephServer):
    """A cluster whose daemons run on this machine."""

    folder: Path

    def __init__(self) -> None:
        if not shutil.which("radosgw"):
            raise RuntimeError(
                "Ceph's S3 gateway is not installed. Run deploy/apt-for-tests, or set PORELAY_TEST_S3_URL"
            )
        _sweep()
        ports = Ports("127.0.0.1", *(free_port() for _ in range(4)))
        folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-"))
        super().__init__(f"http://127.0.0.1:{ports.http}", folder, ports)

    @property
    def https_url(self) -> str:
        """Its address where it serves HTTPS."""
        return f"https://127.0.0.1:{self.ports.https}"

    def run(self, *words: str) -> tuple[int, str]:
        """Run a program; return exit code and output."""
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=START_S)
        return done.returncode, done.stdout + done.stderr

    def put(self, name: str, content: bytes) -> str:
        """Write a file below the folder; return its path."""
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)

    def signal(self, daemon: str, number: signal.Signals | int) -> bool:
        """Send a signal to a daemon; return whether it runs. Signal 0 only asks."""
        return _signal(self.folder, daemon, number)

    def stop(self) -> None:
        """End the daemons and delete everything."""
        _stop(self.folder)


def _sweep() -> None:
    """Stop the servers of sessions that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}-*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists():
            _stop(folder)


def _stop(folder: Path) -> None:
    for daemon in DAEMONS:
        _kill(folder, daemon)  # the data are in memory: there is nothing to save
    shutil.rmtree(folder, ignore_errors=True)


def _pid(folder: Path, daemon: str) -> int | None:
    """Return the process of a daemon of that folder, None where it does not run."""
    try:
        pid = int((folder / "run" / f"{daemon}.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(folder) in command else None


def _signal(folder: Path, daemon: str, number: signal.Signals | int) -> bool:
    pid = _pid(folder, daemon)
    if pid is None:
        return False
    os.kill(pid, number)
    return True


def _kill(folder: Path, daemon: str) -> None:
    while _signal(folder, daemon, signal.SIGKILL):
        time.sleep(0.05)
