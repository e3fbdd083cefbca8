"""Runs whose stages are done by writing their results down, for tests that compute nothing."""

from porelay_kit.runner.state import REQUEST
from porelay_schemas import messages as m
from porelay_schemas.route import STAGES
from porelay_schemas.volumes import ArtifactRef, FileRef, StackRef, VolumeRef

PLAN = """
name: forked
phases:
  - {name: pore, colour: "#2b3a4a"}
  - {name: solid, colour: "#9fb4c7"}
stages:
  ingest: []
  preprocess: [gaussian]
  segment: [otsu]
  metrics: [volume_fraction]
  mesher: {after: [segment], use: [surface, stl]}
"""

ALL = ("ingest", "preprocess", "segment", "metrics", "mesher")


def stack(number: int = 0, uri: str = "") -> StackRef:
    return StackRef(
        uri=uri or f"inbox/forked/s{number}.tif", name=f"s{number}.tif", sha256=f"{number:064x}", size_bytes=9
    )


def result_of(run_id: str, stage: str, key: str = "a") -> m.AnyResult:
    artifact = ArtifactRef(stage=stage, key=key * 64)
    common = {"run_id": run_id, "artifact": artifact, "seconds": 1.5}
    where = {"prefix": artifact.prefix, "shape": (4, 4, 4), "dtype": "uint8", "voxel_um": (1.0, 1.0, 1.0)}
    grey = VolumeRef(name="grey.zarr", kind="grey", **where)
    labels = VolumeRef(name="labels.zarr", kind="labels", **where)
    file = FileRef(prefix=artifact.prefix, name="descriptors.json", sha256="0" * 64, size_bytes=1)
    return {
        "ingest": lambda: m.IngestResult(**common, volume=grey),
        "preprocess": lambda: m.PreprocessResult(**common, volume=grey),
        "segment": lambda: m.SegmentResult(**common, labels=labels, fractions={}),
        "metrics": lambda: m.MetricsResult(**common, descriptors=file),
        "mesher": lambda: m.MesherResult(**common, volume=labels, tetrahedra=1, files={}),
    }[stage]()


def finish(state, *stages: str) -> None:
    for stage in stages:
        state.done(result_of(state.run_id, stage))


def requests_in(broker, stage: str) -> list[m.AnyRequest]:
    return [REQUEST.validate_json(body) for body in broker.waiting(stage)]


def waiting(broker) -> list[tuple[str, str]]:
    """Return (run, stage) of everything that waits in the broker."""
    return sorted((one.run_id, one.stage) for stage in STAGES for one in requests_in(broker, stage))
