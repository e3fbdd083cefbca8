"""Which servers the tests run on: somebody else's, containers, or those of Debian's packages."""

from collections.abc import Callable
from typing import Literal, NamedTuple

SETTING = "PORELAY_TEST_SERVERS"
WANTED = ("auto", "docker", "debian")


class Choice(NamedTuple):
    """Where a server comes from, and why from there."""

    road: Literal["external", "docker", "debian"]
    why: str


class NoServer(Exception):
    """What was asked for cannot be had."""


def choose(wanted: str, url: str | None, trouble: Callable[[], str | None]) -> Choice:
    """Return where a server comes from: its address wins, then containers where there is no trouble with them.

    `trouble()` says in words why there can be no container, None where there can be one; it may take long, so it is
    asked only where that matters. Raises NoServer where containers are demanded and cannot be had.
    """
    if wanted not in WANTED:
        raise NoServer(f"{SETTING}: got {wanted!r}, wanted {', '.join(WANTED)}.")
    if url:
        return Choice("external", "its address is given")
    if wanted == "debian":
        return Choice("debian", f"{SETTING}=debian")
    reason = trouble()
    if reason is None:
        return Choice("docker", "a Docker engine answers")
    if wanted == "docker":
        raise NoServer(f"{SETTING}=docker: {reason}. Mend that, or set {SETTING} to auto or debian.")
    return Choice("debian", reason)
