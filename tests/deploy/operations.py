"""What an operator has at hand: the scripts of deploy/operations, and eyes for what is whole."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from cluster.conftest import Mesh
from servers.s3 import S3Server

from porelay_kit.runner.history import marks
from porelay_kit.runner.state import RESULT, RunState
from porelay_kit.runner.step import manifest
from porelay_kit.store.base import Store
from porelay_kit.volumes import Volume
from porelay_schemas.messages import AnyResult
from porelay_schemas.volumes import ArtifactRef, VolumeRef

OPERATIONS = Path(__file__).parents[2] / "deploy" / "operations"


def rclone(ceph: S3Server, **environment: str) -> dict[str, str]:
    """Return variables with which rclone knows two servers, `site` and `vault`: nothing is copied within the server."""
    if not shutil.which("rclone"):
        pytest.skip("rclone is not installed; deploy/apt-for-tests installs it")
    known = {"TYPE": "s3", "PROVIDER": "Ceph", "ENDPOINT": ceph.url, "REGION": "us-east-1"}
    known |= {"ACCESS_KEY_ID": ceph.access_key, "SECRET_ACCESS_KEY": ceph.secret_key}
    remotes = {f"RCLONE_CONFIG_{name}_{key}": value for name in ("SITE", "VAULT") for key, value in known.items()}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return ours | remotes | environment


def script(name: str, *words: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a script of deploy/operations to its end."""
    command = [str(OPERATIONS / name), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def empty_broker(rabbit) -> str:
    """Return the address of a broker that has nothing at all."""
    return str(rabbit.new_vhost(topology=False))


def lose(rabbit, url: str) -> None:
    """Lose a broker: what comes back under its address knows users, and nothing else."""
    vhost = quote(urlsplit(url).path.lstrip("/"), safe="")
    rabbit.ask("DELETE", f"vhosts/{vhost}")
    rabbit.ask("PUT", f"vhosts/{vhost}")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    rabbit.ask("PUT", f"permissions/{vhost}/{urlsplit(url).username}", everything)


def mesh_at(ceph: S3Server, folder: Path, amqp_url: str, s3_url: str) -> Mesh:
    """Return a mesh on servers that are there, with a cache of its own."""
    folder.mkdir(exist_ok=True)
    keys = {"s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    return Mesh(folder, amqp_url=amqp_url, s3_url=s3_url, **keys)


def check_whole(store: Store) -> int:
    """Check that all that is committed is all there, and all that results name is committed; return how many were."""
    committed = [ArtifactRef(stage=key.split("/")[1], key=key.split("/")[2]) for key in store.list("artifacts")
                 if key.endswith("/manifest.json")]  # fmt: skip
    for artifact in committed:
        found = manifest(store, artifact)
        assert found is not None
        for file in found.files:
            data = store.read(f"{file.prefix}/{file.name}")
            assert hashlib.sha256(data).hexdigest() == file.sha256
        for volume in volumes(found.result):
            opened(store, volume)
    for run_id in marks(store):
        RunState(store, run_id).plan()
    results = [key for key in store.list("runs") if "/results/" in key]
    for key in results:
        named = RESULT.validate_json(store.read(key)).artifact
        assert named in committed, f"{key} names {named.prefix}, which is not there"
    return len(committed)


def volumes(result: AnyResult) -> Iterable[VolumeRef]:
    """Return the volumes that a result names."""
    return [value for value in dict(result).values() if isinstance(value, VolumeRef)]


def opened(store: Store, volume: VolumeRef) -> np.ndarray:
    """Return the voxels of a volume; none of its chunks may be missing."""
    return np.asarray(Volume(volume, store.zarr_spec(f"{volume.prefix}/{volume.name}"))[:])


def content(store: Store, state: RunState) -> dict[str, object]:
    """Return what a run has come to: by stage the artifact, the digests of its files, and its voxels."""
    found: dict[str, object] = {}
    for stage, result in RunState(store, state.run_id).results().items():
        made = manifest(store, result.artifact)
        assert made is not None
        digests = {file.name: file.sha256 for file in made.files if file.name.endswith((".safetensors", ".csv"))}
        voxels = [opened(store, volume).tobytes() for volume in volumes(result)]
        found[stage] = (result.artifact, digests, voxels)
    return found


def parked(mesh: Mesh, *stages: str) -> list[str]:
    """Return why messages lie in the dead letters."""
    return [f"{letter.error}: {letter.text}" for stage in stages for letter in mesh.broker.dead_letters(stage)]
