"""A Ceph S3 gateway in a container."""

import signal
from ipaddress import ip_address
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
from servers.ceph import CephServer, Ports
from servers.containers import Box, seen_inside

FOLDER = PurePosixPath("/var/lib/porelay-ceph")
PORTS = Ports("0.0.0.0", http=8080, https=8443, mon=3300, mon_v1=6789)
PROGRAMS = ("ceph-mon", "ceph-osd", "ceph-mgr", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")


class CephContainer(CephServer):
    """A cluster in a container of an image that has Ceph's programs."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._box = Box(image, (PORTS.http, PORTS.https), init=True, entrypoint=["sleep", "infinity"])
        super().__init__(f"http://{self._box.host}:{self._box.ports[PORTS.http]}", FOLDER, PORTS)

    @property
    def https_url(self) -> str:
        """Its address where it serves HTTPS."""
        return f"https://{self._box.host}:{self._box.ports[PORTS.https]}"

    def start(self) -> None:
        """Start the container, the cluster in it, and wait until the gateway answers."""
        self._box.start()
        for program in PROGRAMS:
            if self.run("which", program)[0]:
                raise RuntimeError(f"PORELAY_S3_IMAGE={self._image}: it lacks {program}. Name an image of Ceph's.")
        self.run("mkdir", str(FOLDER))
        super().start()

    def run(self, *words: str) -> tuple[int, str]:
        """Run a program in the container; return exit code and output."""
        return self._box.run(*words)

    def put(self, name: str, content: bytes) -> str:
        """Write a file below the folder; return its path."""
        return self._box.put(str(FOLDER / name), content)

    def signal(self, daemon: str, number: signal.Signals | int) -> bool:
        """Send a signal to a daemon; return whether it runs. Signal 0 only asks."""
        return self.run("sh", "-c", f"kill -{int(number)} $(cat {FOLDER}/run/{daemon}.pid)")[0] == 0

    def broker_url(self, amqp_url: str) -> str:
        """Return where the gateway reaches a broker that the tests reach there."""
        parts = urlsplit(super().broker_url(amqp_url))
        if not _loopback(parts.hostname or ""):
            return parts.geturl()
        inside = seen_inside(parts.port or 5672)
        if inside is None:
            pytest.skip(f"a gateway in a container does not reach a broker on this machine's loopback, {parts.netloc}")
        return parts._replace(netloc=inside).geturl()

    def stop(self) -> None:
        """Delete the container and all that it holds."""
        self._box.remove()


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
