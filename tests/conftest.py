"""Fixtures that all tests share: a store in a temporary folder, and the bench of a stage on it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_kit.bench import Bench, Control
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas.base import VoxelUm
from porelay_schemas.volumes import ArtifactRef, Kind, VolumeRef

pytest_plugins = ["servers.roads", "servers.rabbit", "servers.s3"]

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "data"))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "home")


@pytest.fixture
def make_bench(store: FolderStore) -> Callable[..., Bench]:
    """Return `make_bench(stage, key="a", max_memory_bytes=, workers=, control=)`; its artifact is not committed."""

    def make(
        stage: str, key: str = "a", *, max_memory_bytes: int = 2**31, workers: int = 2, control: Control | None = None
    ) -> Bench:
        artifact = ArtifactRef(stage=stage, key=key * 64)
        settings = Settings(home=store.home, max_memory_bytes=max_memory_bytes, workers=workers)
        return Bench(artifact, store, store.begin(artifact.prefix), settings, control or Control())

    return make


@pytest.fixture
def put_volume(make_bench: Callable[..., Bench]) -> Callable[..., VolumeRef]:
    """Return `put_volume(array, kind="grey", voxel_um=(1, 1, 1), key="b", stage="ingest")`: a committed input."""

    def put(
        array: NDArray[Any],
        kind: Kind = "grey",
        voxel_um: VoxelUm = (1.0, 1.0, 1.0),
        *,
        key: str = "b",
        stage: str = "ingest",
    ) -> VolumeRef:
        bench = make_bench(stage, key)
        name = "grey.zarr" if kind == "grey" else "labels.zarr"
        volume = bench.new_volume(name, kind=kind, shape=array.shape, dtype=array.dtype, voxel_um=voxel_um)
        volume[:] = array
        commit(bench)
        return volume.ref

    return put


def commit(bench: Bench) -> None:
    """Publish what a bench holds, as the runner does, but with an empty manifest."""
    assert bench._workspace.commit(b"{}")


def shared_data(name: str) -> Path:
    """Return a file of the shared data folder; skip the test where there is none."""
    folder = Path(os.environ.get("PORELAY_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"{name} is not in {folder}; set PORELAY_TEST_DATA")
    return folder / name


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small grey stack beside its truth, `stack.tif` and `truth.tif`."""
    import make_demo_stack
    import tifffile

    folder = tmp_path_factory.mktemp("stack")
    made = make_demo_stack.make((24, 48, 48), seed=3, diameter=(10, 16))
    tifffile.imwrite(folder / "stack.tif", made.stack)
    tifffile.imwrite(folder / "truth.tif", made.truth)
    return folder / "stack.tif"
