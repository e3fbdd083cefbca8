"""Where the servers of this session come from; pytest says so before the first test and after the last."""

import os
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
from servers.choice import SETTING, Choice, NoServer, choose


class Server(NamedTuple):
    """A server that tests need: their fixture, and the settings that say which it is."""

    fixture: str
    name: str
    url: str
    image: str
    default_image: str


RABBITMQ = Server("rabbit", "RabbitMQ", "PORELAY_TEST_AMQP_URL", "PORELAY_RABBITMQ_IMAGE", "rabbitmq:4-management")
S3 = Server("ceph", "S3 server", "PORELAY_TEST_S3_URL", "PORELAY_S3_IMAGE", "quay.io/ceph/ceph:v19")

images: dict[Server, str] = {}
used: list[str] = []


def pytest_configure() -> None:
    """Keep the images to ourselves: the commands under test take each `PORELAY_` variable for a setting of theirs."""
    for server in (RABBITMQ, S3):
        images[server] = os.environ.pop(server.image, "") or server.default_image


@cache
def road_to(server: Server) -> Choice:
    """Return where a server comes from; raise NoServer where it cannot be had from where it was demanded."""

    def trouble() -> str | None:
        from servers import containers

        return containers.trouble(images[server])

    return choose(os.environ.get(SETTING) or "auto", os.environ.get(server.url), trouble)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> Iterator[str]:
    """Say where the servers come from that these tests need; no image is pulled for tests that need none."""
    needed = {name for item in items for name in getattr(item, "fixturenames", ())}
    for server in (RABBITMQ, S3):
        if server.fixture in needed and not config.option.collectonly:
            try:
                road, why = road_to(server)
            except NoServer as error:
                raise pytest.UsageError(str(error)) from error
            yield f"{server.name}: {_words(server, road)} ({why})"


def _words(server: Server, road: str) -> str:
    if road == "docker":
        return f"container {images[server]}"
    return "Debian's packages" if road == "debian" else f"the one of {server.url}"


def note(server: Server, version: str) -> None:
    """Remember which server was used."""
    used.append(f"{server.name}: {version}, {_words(server, road_to(server).road)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers the tests ran on."""
    for line in used:
        terminalreporter.write_line(line)
