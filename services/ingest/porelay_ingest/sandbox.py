"""A function in a process of its own, with little memory, little time and none of our secrets.

For what opens files that came from outside: a file that crashes the parser, hangs it or makes it ask for all memory
ends that process and nothing else. `python -m porelay_ingest.sandbox` is that process: a request as JSON on its
standard input, an answer as JSON on its standard output.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from porelay_schemas.errors import BadInput, Permanent, Retryable, TooLarge

KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
FROM_OUTSIDE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a service manager sends to all processes of a service that is to end; no file's fault."""

ERRORS: dict[str, type[Permanent]] = {"BadInput": BadInput, "TooLarge": TooLarge}
START_S = 60.0
"""How long the process may take to load its libraries, on a busy machine."""

FIX = "It is damaged or forged: export it again."


@dataclass(frozen=True)
class Limits:
    """What the process may take beyond loading its libraries: memory, and seconds."""

    memory_bytes: int = 2**30
    seconds: float = 120.0


COMMON = Limits()


def call(function: str, *words: str, what: str, limits: Limits = COMMON) -> Any:
    """Return what `module:function` answers to the words, in a process of its own; `what` is what errors call it.

    Raises the function's own BadInput and TooLarge, BadInput where the process ended in any other way, and Retryable
    where somebody asked it to end.
    """
    request = {"function": function, "words": words, "memory_bytes": limits.memory_bytes, "seconds": limits.seconds}
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | ONE_THREAD
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "porelay_ingest.sandbox"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=limits.seconds + START_S,
            env=environment,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{what}: {_end(-signal.SIGALRM, limits)}. {FIX}") from error
    if -done.returncode in FROM_OUTSIDE:
        name = signal.Signals(-done.returncode).name
        raise Retryable(f"{what}: its check was stopped from outside ({name}). It is done again.")
    if done.returncode:
        raise BadInput(f"{what}: {_end(done.returncode, limits)}. {FIX}")
    return _answer(done.stdout, what)


def _end(code: int, limits: Limits) -> str:
    if -code in (signal.SIGALRM, signal.SIGXCPU):
        return f"it could not be read within {limits.seconds:g} s"
    word = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the program that read it was ended by it ({word})"


def _answer(output: bytes, what: str) -> Any:
    answer = json.loads(output)
    if "error" not in answer:
        return answer["result"]
    kind = ERRORS.get(answer["error"])
    if kind:
        raise kind(answer["text"])
    if answer["error"] == "MemoryError":
        raise BadInput(f"{what}: reading it asks for far more memory than it should take. {FIX}")
    raise BadInput(f"{what}: it cannot be read ({answer['error']}: {answer['text']}). {FIX}")


def main() -> None:
    """Be the process."""
    request = json.loads(sys.stdin.buffer.read())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module, _, name = request["function"].partition(":")
    function = getattr(import_module(module), name)
    _confine(request["memory_bytes"], request["seconds"])
    try:
        answer = json.dumps({"result": function(*request["words"])}, default=str)
    except Exception as error:
        answer = json.dumps({"error": type(error).__name__, "text": str(error)})
    answers.write(answer)
    answers.flush()
    os._exit(0)


def _confine(memory_bytes: int, seconds: float) -> None:
    """Set limits that cannot be raised again; what the libraries have mapped already does not count."""
    statm = Path("/proc/self/statm")
    mapped = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    for what, most in (
        (resource.RLIMIT_AS, mapped + memory_bytes),
        (resource.RLIMIT_CPU, 1 + round(time.process_time() + seconds)),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
