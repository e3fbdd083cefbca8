"""Find COMSOL and run the build script, each in a process of its own with a watchdog.

MPh allows one client a process, starts a Java machine that cannot start again, and ends the process the hard way: none
of that may happen in a worker.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from porelay_schemas.errors import BadInput, LicenceBusy

SCRIPT = "build_electrode.py"
LOG = "comsol.log"
DONE = "porelay: done"
DISCOVERY_S = 120.0
TICK_S = 0.5
_FIND = "import json, mph.discovery as d; print(json.dumps([backend['name'] for backend in d.find_backends()]))"
_BUSY = re.compile(
    r"licensed number of users already reached|licen[cs]es? .{0,40}(in use|checked out|not available at the moment)"
    r"|all licen[cs]es|licen[cs]e error:? *-4\b|maximum number of users",
    re.IGNORECASE,
)
_UNLICENSED = re.compile(r"licen[cs]e error|no such feature|could not obtain licen[cs]e|not licensed", re.IGNORECASE)


@dataclass(frozen=True)
class Installation:
    """Versions of COMSOL on this machine, the newest first in use; where there is none, `why` says so."""

    versions: tuple[str, ...]
    why: str = ""


def find_comsol(timeout_s: float = DISCOVERY_S) -> Installation:
    """Ask MPh for COMSOL; never raises, for having no COMSOL is no error."""
    command = [sys.executable, "-c", _FIND]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return Installation((), f"the search for COMSOL did not end within {timeout_s:g} s")
    if done.returncode:
        missing = "No module named" in done.stderr
        return Installation((), "MPh is not installed (pip install mph)" if missing else _tail(done.stderr))
    versions = tuple(json.loads(done.stdout.strip().splitlines()[-1]))
    return Installation(versions, "" if versions else "no COMSOL installation was found on this machine")


def simulate(folder: Path, *, cores: int, timeout_s: float, tick: Callable[[float], None]) -> None:
    """Run the build script in `folder`; `tick(seconds)` is called as long as it runs and may raise to stop it.

    Raises LicenceBusy where all licences are in use, BadInput where the time is up or a product is not licensed, and
    RuntimeError with the end of the log where COMSOL fails otherwise.
    """
    command = [sys.executable, SCRIPT, *(["--cores", str(cores)] if cores else [])]
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(process, timeout_s, tick)
        finally:
            _end(process)
    said = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    # MPh ends the process by itself, and not always with the right exit status.
    if process.returncode or DONE not in said:
        _explain(said)


def _wait(process: subprocess.Popen[bytes], timeout_s: float, tick: Callable[[float], None]) -> None:
    began = time.monotonic()
    while process.poll() is None:
        passed = time.monotonic() - began
        if passed > timeout_s:
            raise BadInput(
                f"comsol-bridge: COMSOL has run for {passed:.0f} s, timeout_s is {timeout_s:g}. "
                "Raise it, mesh fewer voxels, or set run: never to have the package alone."
            )
        tick(passed)
        time.sleep(min(TICK_S, timeout_s / 10))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the script and the COMSOL server it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _explain(log: str) -> None:
    if _BUSY.search(log):
        raise LicenceBusy(f"comsol-bridge: all COMSOL licences are in use. It will be tried again. {_tail(log)}")
    if _UNLICENSED.search(log):
        raise BadInput(
            f"comsol-bridge: COMSOL has no licence for what this physics needs. {_tail(log)} "
            "Take the physics 'conduction', which needs no module, or set run: never to have the package alone."
        )
    raise RuntimeError(f"comsol-bridge: COMSOL failed. The end of its log:\n{_tail(log, 30)}")


def _tail(text: str, lines: int = 3) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
