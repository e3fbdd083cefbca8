"""Slices of one training on several machines: what one keeps in the bucket the next goes on from."""

import itertools

import numpy as np

from porelay_kit.bench import Bench, Control
from porelay_kit.runner.step import manifest, step
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_schemas.errors import SliceOver
from porelay_schemas.messages import SliceganTrainerRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.volumes import ArtifactRef, VolumeRef

PHASES = (Phase(name="pore", colour="#202020"), Phase(name="solid", colour="#c0c0c0"))
TINY = {
    "patch_edge": 16, "latent_channels": 4, "generator_widths": [8, 8], "critic_widths": [8, 8], "batch": 2,
    "slices": 4, "penalty_slices": 2, "critic_steps": 2, "steps": 6, "eval_every": 3, "eval_volumes": 1,
}  # fmt: skip
MACHINES = 3


def machine(ceph, bucket: str, cache) -> Settings:
    return Settings(
        s3_url=f"{ceph.url}/{bucket}",
        s3_access_key=ceph.access_key,
        s3_secret_key=ceph.secret_key,
        cache=cache,
        workers=1,
    )


def put_labels(settings: Settings) -> VolumeRef:
    artifact = ArtifactRef(stage="segment", key="b" * 64)
    store = open_store(settings)
    bench = Bench(artifact, store, store.begin(artifact.prefix), settings, Control())
    labels = (np.random.default_rng(0).random((24, 24, 24)) < 0.4).astype(np.uint8)
    volume = bench.new_volume("labels.zarr", kind="labels", shape=labels.shape, dtype="uint8", voxel_um=(1, 1, 1))
    volume[:] = labels
    assert bench._workspace.commit(b"{}")
    return volume.ref


def train(ceph, folder, control: Control):
    """Train slice after slice, each on another machine; return how many there were and the digests of the files."""
    bucket = ceph.new_bucket()
    machines = [machine(ceph, bucket, folder / f"{bucket}-{number}") for number in range(MACHINES)]
    call = MethodCall(method="slicegan", params=TINY)
    request = SliceganTrainerRequest(run_id="r", plan="p", phases=PHASES, volume=put_labels(machines[0]), use=(call,))
    for slices, settings in enumerate(itertools.cycle(machines), 1):
        store = open_store(settings)
        try:
            result = step(request, store, settings, control)
        except SliceOver:
            continue
        assert not list(store.list("scratch"))
        return slices, {file.name: file.sha256 for file in manifest(store, result.artifact).files}
    raise AssertionError("a cycle has no end")


def test_a_training_that_moves_from_machine_to_machine_ends_with_the_files_of_one_at_once(ceph, tmp_path):
    slices, at_once = train(ceph, tmp_path, Control())
    assert slices == 1
    slices, moved = train(ceph, tmp_path, Control(slice_s=1e-9))
    assert slices == TINY["steps"]
    assert moved == at_once
