"""Folders in which workers of this machine prepare what is to be published at once."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

_HOST = socket.gethostname()


def staging(root: Path, prefix: str) -> Path:
    """Return a new folder below `root`; what killed workers of this machine left there for `prefix` goes."""
    name = prefix.replace("/", "-")
    for left in root.iterdir():
        if left.name.startswith(f"{name}@{_HOST}@") and not maker_lives(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}@{_HOST}@{os.getpid()}@", dir=root))
    folder.chmod(0o755)
    return folder


def maker_lives(folder: Path) -> bool:
    """Return whether such a folder was made by a process of this machine that lives."""
    _, host, pid, *_ = [*folder.name.split("@"), "", "", ""]
    return host == _HOST and pid.isdecimal() and _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
