"""Print how fast `ingest` takes a TIFF stack: streaming alone, and the whole stage with checks and pictures.

    .venv/bin/python tests/benchmarks/ingest.py [--runs 3] [--slices 1000] [--edge 1024] [--home DIR] [--tif FILE]

The stack is a noisy two-phase one of 8 bits. Each measurement runs in a process of its own, so that its peak memory
is its own. Before each run the same file is copied with `fsync`: what the disk gives at that moment, for many vary
twofold. The file is in the page cache, as it is after dropping (the SHA-256 has read it). CPU seconds tell more than
MB/s where others use the machine; the load beside them tells whether they do.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

from porelay_kit import planning
from porelay_kit.bench import Bench, Control
from porelay_kit.runner.state import RunState, stack_ref, start
from porelay_kit.runner.step import peak_memory_bytes, step
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas import relay
from porelay_schemas.messages import IngestRequest
from porelay_schemas.volumes import ArtifactRef

WHAT = ("stream", "stage")
BUFFER_BYTES = 64 * 2**20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--slices", type=int, default=1000)
    arguments.add_argument("--edge", type=int, default=1024)
    arguments.add_argument("--home", type=Path, help="where to work  [default: a temporary folder]")
    arguments.add_argument("--tif", type=Path, help="a stack of your own, instead of the noisy one")
    arguments.add_argument("--one", choices=WHAT, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.tif, given.home)))
        return
    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        home = Path(folder)
        tif = given.tif or noisy(home / "stack.tif", given.slices, given.edge)
        print(f"{'run':>3} {'what':<7} {'MB/s':>6} {'CPU-s/GB':>9} {'peak MiB':>9} {'copy MB/s':>10} {'load':>5}")
        for run in range(given.runs):
            for what in WHAT:
                print(row(run, what, tif, home / "work"), flush=True)


def row(run: int, what: str, tif: Path, home: Path) -> str:
    """Copy the file, measure in a process of its own, and return the line."""
    home.mkdir(parents=True)
    load = os.getloadavg()[0]
    size = tif.stat().st_size
    copied = size / copy_s(tif, home / "copy.tif") / 1e6
    words = [sys.executable, __file__, "--one", what, "--tif", str(tif), "--home", str(home)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    shutil.rmtree(home)
    if done.returncode:
        return f"{run:3} {what:<7} {done.stderr.strip().splitlines()[-1]}"
    seen = json.loads(done.stdout)
    rate, cpu, peak = size / seen["wall_s"] / 1e6, seen["cpu_s"] / size * 1e9, seen["peak_bytes"] / 2**20
    return f"{run:3} {what:<7} {rate:6.0f} {cpu:9.2f} {peak:9.0f} {copied:10.0f} {load:5.1f}"


def copy_s(source: Path, target: Path) -> float:
    """Return the seconds that a plain copy with `fsync` takes; the copy is removed."""
    began = time.perf_counter()
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with source.open("rb", buffering=0) as read, target.open("wb", buffering=0) as write:
        while count := read.readinto(buffer):
            write.write(buffer[:count])
        os.fsync(write.fileno())
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def one(what: str, tif: Path, home: Path) -> dict[str, float]:
    """Measure once in this process; imports and the SHA-256 of the dropped file are not in it."""
    settings = Settings.from_env(home=home)
    state = start(FolderStore(home), planning.load("electrode-quick", [], voxel_um=(0.05, 0.05, 0.05)), stack_ref(tif))
    request = relay.request_for("ingest", state.run(), state.plan(), state.results())
    assert isinstance(request, IngestRequest)
    work = whole_stage(request, state, settings) if what == "stage" else streaming(request, state, settings)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_bytes": peak_memory_bytes(),
    }


def whole_stage(request: IngestRequest, state: RunState, settings: Settings) -> Callable[[], object]:
    return lambda: step(request, state.store, settings)


def streaming(request: IngestRequest, state: RunState, settings: Settings) -> Callable[[], object]:
    from porelay_ingest.readers import open_stack
    from porelay_ingest.storage import storage_of
    from porelay_ingest.stream import stream

    artifact = ArtifactRef(stage="ingest", key="0" * 64)
    bench = Bench(artifact, state.store, state.store.begin(artifact.prefix), settings, Control())
    stack = open_stack(request.stack, bench)
    storage = storage_of(stack.facts, "grey", request.stack.name)
    volume = bench.new_volume(
        "grey.zarr", kind="grey", shape=stack.facts.shape, dtype=storage.dtype, voxel_um=(0.05, 0.05, 0.05)
    )
    return lambda: stream(stack, storage, volume, bench)


def noisy(path: Path, slices: int, edge: int) -> Path:
    """Write a stack of two phases whose noise does not compress."""
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(0, 12, (edge + 64, edge)), -60, 60)
    y, x = np.ogrid[:edge, :edge]
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for z in range(slices):
            wave = np.sin(x / 17 + z / 40) + np.sin(y / 23 - z / 31) + np.sin((x + y) / 29 + z / 50)
            grey = np.where(wave > 0, 170, 85) + np.roll(noise, z * 7919, axis=1)[z % 64 :][:edge]
            tif.write(grey.astype(np.uint8), contiguous=False)
    return path


if __name__ == "__main__":
    main()
