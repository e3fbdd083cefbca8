"""One process tree: a worker process a stage, started again when it dies, and ended together."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from porelay_kit.log import Log

PAUSE_S = (1.0, 30.0)
STEADY_S = 60.0
"""A process that has lived that long is started again at once; else after a pause that doubles."""

POLL_S = 0.2
SLACK_S = 5.0


@dataclass
class _Member:
    name: str
    command: list[str]
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    pause_s: float = PAUSE_S[0]
    began: float = 0.0
    due: float = 0.0

    def start(self) -> None:
        """Start the process; it reads its standard input, which ends when we do, and hears no Ctrl-C of ours."""
        self.began = time.monotonic()
        environment = os.environ | self.environment
        self.process = subprocess.Popen(self.command, env=environment, stdin=subprocess.PIPE, start_new_session=True)

    def ended(self) -> int:
        """Forget a process that has ended, set when the next one is due, and return its exit code."""
        assert self.process is not None
        code = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None
        now = time.monotonic()
        self.pause_s = PAUSE_S[0] if now - self.began > STEADY_S else min(2 * self.pause_s, PAUSE_S[1])
        self.due = now + self.pause_s / 2
        return code


def supervise(
    commands: Mapping[str, tuple[list[str], dict[str, str]]], log: Log, leaving: threading.Event, *, grace_s: float
) -> None:
    """Run the commands, each with its own variables, until told to leave; then end them all and wait."""
    members = [_Member(name, command, environment) for name, (command, environment) in commands.items()]
    while not leaving.is_set():
        for member in members:
            _look_after(member, log)
        leaving.wait(POLL_S)
    _end([member for member in members if member.process is not None], log, grace_s)


def _look_after(member: _Member, log: Log) -> None:
    if member.process is None:
        if time.monotonic() >= member.due:
            member.start()
    elif member.process.poll() is not None:
        code = member.ended()
        log.say("died", stage=member.name, by=_in_words(code), again_in_s=member.pause_s / 2)


def _end(members: list[_Member], log: Log, grace_s: float) -> None:
    for member in members:
        assert member.process is not None
        member.process.terminate()
    until = time.monotonic() + grace_s + SLACK_S
    for member in members:
        assert member.process is not None
        try:
            member.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.process.kill()
            log.say("killed", stage=member.name)


def _in_words(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
