"""Print seconds, voxels/s and peak memory of every stage at 64^3, 128^3 and 256^3.

    .venv/bin/python tests/benchmarks/stages.py [--edges 64 128 256] [--home DIR]

Each stage runs in a process of its own, so that its peak memory is its own (the interpreter and the imported
libraries are in it). Training runs 20 steps; voxels are those of the volume that a stage takes or, for the sampler,
gives. A stage that refuses a size says what it would need. Run it alone: two cores are soon busy.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from porelay_kit import planning
from porelay_kit.runner.state import RunState, stack_ref, start
from porelay_kit.runner.step import manifest, step
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas import relay
from porelay_schemas.errors import PorelayError
from porelay_schemas.route import STAGES

TRAINING = ("slicegan-trainer.steps=20",)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--edges", type=int, nargs="+", default=[64, 128, 256])
    arguments.add_argument("--home", type=Path, help="where to work  [default: a temporary folder]")
    arguments.add_argument("--one", nargs=2, metavar=("RUN", "STAGE"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.one:
        one(given.home, *given.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        print(f"{'edge':>5} {'stage':<17} {'seconds':>8} {'Mvoxel/s':>9} {'peak MiB':>9}")
        for edge in given.edges:
            bench(edge, home / str(edge))


def bench(edge: int, home: Path) -> None:
    """Run all stages on a cube of that edge."""
    home.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(home / "stack.tif", cube(edge))
    changes = [
        *TRAINING,
        "preprocess.align.edges=repeat",
        f"sampler.shape=[{edge}, {edge}, {edge}]",
        "sampler.samples=1",
        f"mesher.conformal.crop_voxels=[{edge}, {edge}, {edge}]",
    ]
    plan = planning.load("electrode-quick", changes, voxel_um=(0.05, 0.05, 0.05))
    state = start(FolderStore(home), plan, stack_ref(home / "stack.tif"))
    for stage in STAGES:
        if stage in relay.ready(plan, state.results()):
            words = [sys.executable, __file__, "--home", str(home), "--one", state.run_id, stage]
            print(row(edge, stage, subprocess.run(words, capture_output=True, text=True, check=False)), flush=True)


def row(edge: int, stage: str, done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode:
        return f"{edge:5} {stage:<17} {done.stderr.strip().splitlines()[-1]}"
    figures = json.loads(done.stdout)
    rate = edge**3 / figures["seconds"] / 1e6
    return f"{edge:5} {stage:<17} {figures['seconds']:8.2f} {rate:9.2f} {figures['peak'] / 2**20:9.0f}"


def one(home: Path, run_id: str, stage: str) -> None:
    """Run one stage in this process and print its figures."""
    state = RunState(FolderStore(home), run_id)
    request = relay.request_for(stage, state.run(), state.plan(), state.results())
    try:
        result = step(request, state.store, Settings.from_env(home=home))
    except PorelayError as error:
        sys.exit(f"refused: {error}")
    state.done(result)
    document = manifest(state.store, result.artifact)
    assert document is not None
    print(json.dumps({"seconds": document.seconds, "peak": document.peak_memory_bytes}))


def cube(edge: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Return the scene of the demo stack as a cube, mirrored where it is not large enough."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
    import make_demo_stack

    grey = make_demo_stack.make((min(edge, 128),) * 3, seed=1).stack
    return np.pad(grey, [(0, edge - size) for size in grey.shape], mode="symmetric").astype(np.uint8)


if __name__ == "__main__":
    main()
