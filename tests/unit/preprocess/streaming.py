"""Clean a small volume, then one larger than the memory limit; print by what share of the limit the peak rose."""

import sys
from pathlib import Path

import numpy as np
import psutil

from porelay_kit.bench import Bench, Control
from porelay_kit.runner.step import peak_memory_bytes
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_preprocess.stage import run
from porelay_schemas.messages import PreprocessRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.volumes import ArtifactRef, VolumeRef

LIMIT = 64 * 2**20
USE = ("intensity", "gaussian")


def bench(store, stage, key):
    artifact = ArtifactRef(stage=stage, key=key * 64)
    settings = Settings(home=store.home, max_memory_bytes=LIMIT, workers=2)
    return Bench(artifact, store, store.begin(artifact.prefix), settings, Control())


def dropped(store, shape, key) -> VolumeRef:
    made = bench(store, "ingest", key)
    volume = made.new_volume("grey.zarr", kind="grey", shape=shape, dtype="uint8", voxel_um=(1, 1, 1))
    y, x = np.indices(shape[1:])
    picture = np.where(np.sin(y / 9) * np.sin(x / 7 + y / 50) > 0, 180.0, 70.0)
    picture += np.random.default_rng(0).normal(0, 12, picture.shape)
    slices = [np.roll(picture, z % 3, axis=1).clip(0, 255).astype(np.uint8) for z in range(volume.shard[0])]
    for z in range(0, shape[0], volume.shard[0]):
        volume[z : z + volume.shard[0]] = np.stack(slices)[: shape[0] - z]
    assert made._workspace.commit(b"{}")
    return volume.ref


def clean(store, volume, key) -> int:
    use = tuple(MethodCall(method=name) for name in USE)
    phases = (Phase(name="a", colour="#000000"),)
    request = PreprocessRequest(run_id="r", plan="p", use=use, phases=phases, volume=volume)
    run(request, bench(store, "preprocess", key))
    return peak_memory_bytes()


def main() -> None:
    store = FolderStore(Path(sys.argv[1]))
    clean(store, dropped(store, (8, 128, 128), "a"), "b")
    volume = dropped(store, (416, 512, 640), "c")
    before = psutil.Process().memory_info().rss
    after = clean(store, volume, "d")
    sys.stdout.write(str((after - before) / LIMIT))


if __name__ == "__main__":
    main()
