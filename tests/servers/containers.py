"""Containers of the tests' own, by testcontainers; what a killed session has left is swept by the next."""

import io
import os
import socket
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, ImageNotFound, NotFound
from servers import free_port
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

ANSWER_S, PULL_S = 3, 300
LABEL = "porelay.tests"
NO_ANSWER = (DockerException, requests.RequestException, OSError)


def trouble(image: str) -> str | None:
    """Say why there can be no container of that image, None where there can be one; one that is not here is pulled."""
    try:
        docker.from_env(timeout=ANSWER_S).ping()
    except NO_ANSWER:
        return "no Docker engine answers"
    engine = docker.from_env(timeout=PULL_S)
    try:
        engine.images.get(image)
    except ImageNotFound:
        try:
            engine.images.pull(image)
        except NO_ANSWER as error:
            reason = getattr(error, "explanation", None) or error
            return f"the Docker engine cannot pull {image}: {reason}"
    return None


class Box:
    """A container whose ports stay the same when it is stopped and started."""

    def __init__(self, image: str, ports: tuple[int, ...], **options: object) -> None:
        _sweep()
        host = DockerClient().host()
        here = host == "localhost"
        self.host = "127.0.0.1" if here else host
        self.ports = {port: free_port() for port in ports}
        testcontainers_config.ryuk_disabled = True  # one more image to pull; `_sweep` does its work
        self._container = DockerContainer(image).with_kwargs(labels={LABEL: _ours()}, **options)
        for port, outside in self.ports.items():
            self._container.ports[port] = ("127.0.0.1", outside) if here else outside
        self._inner: Any = None

    def start(self) -> None:
        """Start it, again where it was stopped."""
        if self._inner is None:
            self._inner = self._container.start().get_wrapped_container()
        else:
            self._inner.start()

    def stop(self) -> None:
        """Stop it in good order."""
        self._inner.stop(timeout=40)

    def kill(self) -> None:
        """Stop it as a power failure does."""
        self._inner.kill()
        self._inner.wait(timeout=40)

    def run(self, *words: object) -> tuple[int, str]:
        """Run a program in it; return exit code and output."""
        code, output = self._inner.exec_run([*map(str, words)])
        return code, output.decode(errors="replace")

    def put(self, path: str, content: bytes) -> str:
        """Write a file that everybody in it may read; its folder must be there. Return its path."""
        packed, entry = io.BytesIO(), tarfile.TarInfo(Path(path).name)
        entry.size, entry.mode = len(content), 0o644
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(entry, io.BytesIO(content))
        self._inner.put_archive(str(Path(path).parent), packed.getvalue())
        return path

    def logs(self) -> str:
        """Return the end of what it has said."""
        return str(self._inner.logs(tail=40).decode(errors="replace"))

    def remove(self) -> None:
        """End it and delete what it holds."""
        if self._inner is not None:
            self._inner.remove(force=True, v=True)


def seen_inside(port: int) -> str | None:
    """Return the address, among containers, of the one that publishes a port of this machine; None where none does."""
    for container in docker.from_env().containers.list(filters={"label": LABEL}, ignore_removed=True):
        settings = container.attrs["NetworkSettings"]
        for inside, outside in settings["Ports"].items():
            if any(one["HostPort"] == str(port) for one in outside or ()):
                return f"{settings['IPAddress']}:{inside.partition('/')[0]}"
    return None


def _ours() -> str:
    return f"{os.getpid()}@{socket.gethostname()}"


@cache
def _sweep() -> None:
    """Remove the containers of sessions of this machine that were killed."""
    left = docker.from_env().containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    for container in left:
        pid, _, host = container.labels[LABEL].partition("@")
        if host == socket.gethostname() and not Path(f"/proc/{pid}").exists():
            try:
                container.remove(force=True, v=True)
            except NotFound:
                continue
