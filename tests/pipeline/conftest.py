"""A small stack and a small plan that runs all eight stages in seconds."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLAN = Path(__file__).parent / "tiny.yaml"


def porelay(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "porelay_kit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, cwd=cwd, check=False)


def contents(home: Path) -> dict[str, str]:
    """Return the digest of every file of every artifact, but for what tells of the making: times and hosts."""
    found = {}
    for path in sorted((home / "artifacts").rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            found[path.relative_to(home).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def manifests(home: Path) -> dict[str, dict]:
    """Return the manifest of every artifact by stage."""
    found = [json.loads(path.read_text()) for path in (home / "artifacts").glob("*/*/manifest.json")]
    return {document["stage"]: document for document in found}


@pytest.fixture(scope="session")
def unbroken(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run that nobody disturbed."""
    home = tmp_path_factory.mktemp("unbroken")
    done = porelay(
        "run", stack, "--truth", stack.with_name("truth.tif"), "--plan", PLAN, "--voxel-um", 0.05, "--home", home
    )
    assert done.returncode == 0, done.stderr
    return home
