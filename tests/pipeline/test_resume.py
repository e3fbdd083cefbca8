"""Kill a run at any moment and start it again: it continues, and ends as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import PLAN, contents, manifests, porelay

WORDS = ["--plan", str(PLAN), "--voxel-um", "0.05"]


def command(stack: Path, home: Path) -> list[str]:
    return ["run", str(stack), "--truth", str(stack.with_name("truth.tif")), *WORDS, "--home", str(home)]


def kill_when(stack: Path, home: Path, moment) -> None:
    """Start a run and SIGKILL it as soon as `moment(home)` is true."""
    process = subprocess.Popen(
        [sys.executable, "-m", "porelay_kit", *command(stack, home)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 240
        while not moment(home):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < until, "the moment never came"
            time.sleep(0.002)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def has(pattern: str):
    return lambda home: any(home.glob(pattern))


MOMENTS = {
    "ingest begins": has("staging/artifacts-ingest-*"),
    "preprocess writes": has("staging/artifacts-preprocess-*/*.zarr/0"),
    "segment is committed": has("artifacts/segment/*/manifest.json"),
    "training has a checkpoint": has("scratch/artifacts/slicegan-trainer/*/*"),
    "sampler begins": has("staging/artifacts-sampler-*"),
    "metrics begin": has("staging/artifacts-metrics-*"),
    "mesher writes": has("staging/artifacts-mesher-*/*"),
    "comsol-bridge is committed": has("artifacts/comsol-bridge/*/manifest.json"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=list(MOMENTS))
def test_a_killed_run_continues_and_ends_as_an_unbroken_one(moment, stack, unbroken, tmp_path):
    home = tmp_path / "home"
    kill_when(stack, home, moment)
    before = manifests(home) if (home / "artifacts").exists() else {}
    done = porelay(*command(stack, home))
    assert done.returncode == 0, done.stderr
    after = manifests(home)
    assert {stage: after[stage]["started"] for stage in before} == {stage: m["started"] for stage, m in before.items()}
    assert contents(home) == contents(unbroken)
    assert not any((home / "staging").iterdir())


def test_a_run_that_is_done_computes_nothing_again(stack, unbroken):
    before = manifests(unbroken)
    assert porelay(*command(stack, unbroken)).returncode == 0
    assert manifests(unbroken) == before


def test_the_same_seed_gives_the_same_bytes_in_another_place(stack, unbroken, tmp_path):
    assert porelay(*command(stack, tmp_path)).returncode == 0
    assert contents(tmp_path) == contents(unbroken)


def test_another_seed_trains_anew_and_keeps_what_does_not_depend_on_it(stack, unbroken, tmp_path):
    import shutil

    home = shutil.copytree(unbroken, tmp_path / "home")
    assert porelay(*command(stack, home), "--seed", 99).returncode == 0
    assert len(list(home.glob("artifacts/preprocess/*"))) == 1
    assert len(list(home.glob("artifacts/slicegan-trainer/*"))) == 2
