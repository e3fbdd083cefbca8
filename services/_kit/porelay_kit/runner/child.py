"""Isolation: stages that read what strangers made, or that call libraries which may crash, run in a child process.

One child a worker, kept while there is work, spoken to in JSON lines: the parent writes settings, requests and what the
user asks to its standard input, the child answers with progress and one result or error. What a stage or a library
prints goes to the standard error. The child ends when its parent does.
"""

import json
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from functools import cache
from typing import IO, Any, NoReturn

from pydantic import SecretStr

from porelay_kit.bench import Control, Progress, too_long
from porelay_kit.runner.state import REQUEST, RESULT
from porelay_kit.runner.step import step
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.base import Store
from porelay_schemas import errors
from porelay_schemas.errors import PorelayError, Stopped, TookTooLong, TooLarge
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.route import isolated

IDLE_S = 60.0
LOOK_S = 0.2
PATIENCE_S = 5.0
"""How long a stage has to react to a cancel before its process is ended."""

ROOM_BYTES = 4 * 2**30
"""Address space beyond twice the memory budget: libraries reserve far more than they use."""


class WorkerDied(Exception):
    """The process that ran a stage died: a defect."""


class StageDefect(Exception):
    """What a stage raised in a child process; the class is named as it was there."""


class Isolated:
    """Runs a request by `step`: in a child process where the route says so, else here."""

    def __init__(self, settings: Settings, *, idle_s: float = IDLE_S) -> None:
        self._settings, self._idle_s = settings, idle_s
        self._child: _Child | None = None
        self._idle: threading.Timer | None = None
        self._lock = threading.Lock()

    def __call__(self, request: AnyRequest, store: Store, settings: Settings, control: Control) -> AnyResult:
        """Return the result of a request; raise as `step` does, WorkerDied or TookTooLong."""
        if not isolated(request.stage):
            return step(request, store, settings, control)
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            if self._child is None or not self._child.alive:
                self._child = _Child(self._settings)
            try:
                return self._child.do(request, control)
            finally:
                self._idle = threading.Timer(self._idle_s, self.close)
                self._idle.daemon = True
                self._idle.start()

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self._lock:
            if self._child is not None:
                self._child.end()
            self._child = None

    def kill(self) -> None:
        """End the child also while it works."""
        if self._child is not None:
            self._child.end()


class _Child:
    """The parent's end."""

    def __init__(self, settings: Settings) -> None:
        self._limit_s = settings.isolated_limit_s
        self._process = subprocess.Popen(
            [sys.executable, "-m", "porelay_kit.runner.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._hear, name="child", daemon=True).start()
        self._say(settings=_revealed(settings))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def do(self, request: AnyRequest, control: Control) -> AnyResult:
        self._say(request=request.model_dump(mode="json"))
        began = time.monotonic()
        told: dict[str, float] = {}
        while True:
            answer = self._answer()
            seconds = time.monotonic() - began
            if answer is None:
                raise WorkerDied(f"{request.stage}: its process {self._end_in_words()}, after {seconds:.1f} s of work.")
            if "result" in answer:
                return RESULT.validate_python(answer["result"])
            if "error" in answer:
                raise _error(**answer["error"])
            self._pass_on(answer, control)
            self._ask(control, told)
            self._lose_patience(request.stage, seconds, told)

    def _answer(self) -> dict[str, Any] | None:
        """Return what the child says, nothing where it says nothing for now, None where it is dead."""
        try:
            return self._heard.get(timeout=LOOK_S)
        except queue.Empty:
            return {}

    def _lose_patience(self, stage: str, seconds: float, told: dict[str, float]) -> None:
        """End a child that works on after a cancel, or for too long."""
        if "cancelled" in told and time.monotonic() - told["cancelled"] > PATIENCE_S:
            self.end()
            raise Stopped(f"{stage}: the run was cancelled. Start it again to continue.")
        if seconds > self._limit_s:
            self.end()
            raise TookTooLong(too_long(stage, self._limit_s, "PORELAY_ISOLATED_LIMIT_S"))

    def end(self) -> None:
        """Kill the child and what it has started."""
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _say(self, **words: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it is dead, as `_hear` will find

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)

    def _pass_on(self, answer: Mapping[str, Any], control: Control) -> None:
        if "computing" in answer:
            control.computing()
        if "progress" in answer:
            control.listen(Progress(**answer["progress"]))

    def _ask(self, control: Control, told: dict[str, float]) -> None:
        """Tell the child, once each, what the user asks."""
        for word, asks in (("cancelled", control.cancelled), ("finish", control.finish)):
            if word not in told and asks():
                told[word] = time.monotonic()
                self._say(ask=word)

    def _end_in_words(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        why = ", perhaps since memory ran out" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{why}"


def _error(name: str, text: str, trace: str) -> Exception:
    """Return an exception like the one in the child, with its traceback as a note."""
    known = getattr(errors, name, None)
    kind = known if isinstance(known, type) and issubclass(known, PorelayError) else type(name, (StageDefect,), {})
    error: Exception = kind(text)
    error.add_note(trace)
    return error


def _revealed(settings: Settings) -> dict[str, Any]:
    """Return settings with their secrets, for the pipe to the child only."""
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return settings.model_dump(mode="json") | secrets


class _Parent:
    """The child's end."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[AnyRequest] = queue.SimpleQueue()
        self.asked: set[str] = set()
        self._lines: IO[bytes] = os.fdopen(os.dup(0), "rb")
        self._answers: IO[bytes] = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        self.settings = Settings.model_validate(json.loads(self._lines.readline())["settings"])
        threading.Thread(target=self._hear, name="parent", daemon=True).start()

    def say(self, **words: object) -> None:
        self._answers.write(json.dumps(words).encode() + b"\n")

    def _hear(self) -> None:
        for line in self._lines:
            said = json.loads(line)
            if "request" in said:
                self.asked.clear()
                self.requests.put(REQUEST.validate_python(said["request"]))
            else:
                self.asked.add(said["ask"])
        os.killpg(0, signal.SIGKILL)  # the parent is gone: end, with whatever was started


def _serve() -> NoReturn:
    """Do what the parent asks, one request after the other, until it is gone."""
    parent = _Parent()
    _limit(parent.settings.max_memory_bytes)
    control = Control(
        listen=lambda progress: parent.say(progress=vars(progress)),
        cancelled=lambda: "cancelled" in parent.asked,
        finish=lambda: "finish" in parent.asked,
        computing=lambda: parent.say(computing=True),
    )
    opened = cache(lambda: open_store(parent.settings))
    while True:
        request = parent.requests.get()
        try:
            result = step(request, opened(), parent.settings, control)
        except MemoryError as error:
            got = (
                f"{request.stage}: needs more than the {parent.settings.max_memory_bytes // 2**20} MiB that it may use"
            )
            parent.say(error=_described(TooLarge(f"{got}. Raise PORELAY_MAX_MEMORY_BYTES, or crop the stack."), error))
        except Exception as error:
            parent.say(error=_described(error, error))
        else:
            parent.say(result=result.model_dump(mode="json"))


def _described(error: Exception, cause: Exception) -> dict[str, str]:
    trace = "".join(traceback.format_exception(cause))
    return {"name": type(error).__name__, "text": str(error), "trace": trace}


def _limit(max_memory_bytes: int) -> None:
    """Bound the address space of this process, so that a bomb ends here and not in the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = 2 * max_memory_bytes + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    import faulthandler

    faulthandler.enable()
    _serve()
