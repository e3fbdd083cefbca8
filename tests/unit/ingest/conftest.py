"""What the tests of ingest share: opening a stack as the stage does, and running the stage."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_ingest.readers import open_stack
from porelay_ingest.stage import run
from porelay_kit.bench import Bench
from porelay_kit.runner.state import stack_ref
from porelay_schemas.messages import IngestRequest, IngestResult
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.stacks import Stack
from porelay_schemas.volumes import StackRef

CHECKS = ("grey_levels", "alignment", "curtaining", "intensity_drift", "slices", "saturation")
PHASES = (
    Phase(name="pore", colour="#4477aa"),
    Phase(name="cbd", colour="#ccbb44"),
    Phase(name="active_material", colour="#ee6677"),
)


@pytest.fixture
def opened(make_bench: Callable[..., Bench]) -> Iterator[Callable[[Path], Stack]]:
    """Return `opened(path)`, a stack opened by whichever reader knows it."""
    with ExitStack() as closing:

        def open_(path: Path) -> Stack:
            ref = StackRef(uri=path.as_uri(), name=path.name, sha256="0" * 64, size_bytes=0)
            stack = open_stack(ref, make_bench("ingest"))
            closing.callback(stack.close)
            return stack

        yield open_


@pytest.fixture
def voxels(opened: Callable[[Path], Stack]) -> Callable[..., NDArray[Any]]:
    """Return `voxels(path, step=3)`: all voxels of a stack, read some slices at a time."""

    def read(path: Path, step: int = 3) -> NDArray[Any]:
        stack = opened(path)
        out = np.empty(stack.facts.shape, stack.facts.dtype)
        for z0 in range(0, len(out), step):
            stack.read(z0, out[z0 : z0 + step])
        return out

    return read


@pytest.fixture
def ingest(make_bench: Callable[..., Bench]) -> Callable[..., tuple[IngestResult, Bench]]:
    """Return `ingest(path, truth=None, checks=CHECKS, bench=None, **request)`: result and bench of the stage."""

    def do(
        path: Path,
        *,
        truth: Path | None = None,
        checks: tuple[str, ...] = CHECKS,
        bench: Bench | None = None,
        **more: Any,
    ) -> tuple[IngestResult, Bench]:
        bench = bench or make_bench("ingest")
        request = IngestRequest(
            run_id="test",
            plan="p",
            use=tuple(MethodCall(method=name) for name in checks),
            phases=more.pop("phases", PHASES),
            stack=stack_ref(path),
            truth=stack_ref(truth) if truth else None,
            **more,
        )
        return run(request, bench), bench

    return do


@pytest.fixture
def real() -> Callable[[str], Path]:
    """Return `real(name)`, a file of the shared data folder; skip the test where there is none."""
    beside = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("PORELAY_TEST_DATA", beside))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"{name} is not in {folder}; set PORELAY_TEST_DATA")
        return folder / name

    return find
