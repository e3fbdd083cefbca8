"""What travels between stages: small, frozen, closed, and pointing at data.

`<Stage>Request` asks for a stage of a run, `<Stage>Result` tells where its result lies. `run_id` and
`schema_version` are on each; golden JSON of each is kept in tests/contract.
"""

from typing import Annotated, Literal

from pydantic import Field

from porelay_schemas.base import Closed, VoxelUm
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.planes import PlaneAxis
from porelay_schemas.volumes import ArtifactRef, FileRef, StackRef, VolumeRef

RunId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,95}$")]


class Request(Closed):
    """What all requests carry. `use` holds the stage's method calls as the plan has them."""

    schema_version: Literal[1] = 1
    run_id: RunId
    plan: str = Field(description="digest of the stored plan")
    use: tuple[MethodCall, ...] = ()
    phases: tuple[Phase, ...]


class IngestRequest(Request):
    """Turn a dropped stack, labels of the same voxels, and separate images across the other axes into volumes.

    `planes`, here and in what follows: images across y and x, where STACK has those across z alone. Each is treated
    like the stack, in its own frame (`porelay_schemas.planes`); `voxel_um` is along the axes of the material.
    """

    stage: Literal["ingest"] = "ingest"
    stack: StackRef
    truth: StackRef | None = None
    planes: dict[PlaneAxis, StackRef] = {}
    voxel_um: VoxelUm | None = None
    stack_kind: Literal["grey", "labels"] = "grey"


class PreprocessRequest(Request):
    """Clean a grey volume; what moves voxels moves `truth` alike."""

    stage: Literal["preprocess"] = "preprocess"
    volume: VolumeRef
    truth: VolumeRef | None = None
    planes: dict[PlaneAxis, VolumeRef] = {}


class SegmentRequest(Request):
    """Label the voxels of a volume with the plan's phases."""

    stage: Literal["segment"] = "segment"
    volume: VolumeRef
    truth: VolumeRef | None = None
    planes: dict[PlaneAxis, VolumeRef] = {}


class SliceganTrainerRequest(Request):
    """Learn a generator from a volume; with `planes` from its slices across z and from theirs across y and x."""

    stage: Literal["slicegan-trainer"] = "slicegan-trainer"
    volume: VolumeRef
    planes: dict[PlaneAxis, VolumeRef] = {}


class SamplerRequest(Request):
    """Draw new volumes from a generator."""

    stage: Literal["sampler"] = "sampler"
    generator: ArtifactRef


class MetricsRequest(Request):
    """Measure the real volume and the generated ones beside it; at least one of them is there."""

    stage: Literal["metrics"] = "metrics"
    real: VolumeRef | None = None
    generated: tuple[VolumeRef, ...] = ()


class MesherRequest(Request):
    """Mesh a label volume."""

    stage: Literal["mesher"] = "mesher"
    volume: VolumeRef


class ComsolBridgeRequest(Request):
    """Hand the mesh, its volume and the measured properties to COMSOL."""

    stage: Literal["comsol-bridge"] = "comsol-bridge"
    mesh: ArtifactRef
    volume: VolumeRef
    metrics: ArtifactRef | None = None


class Result(Closed):
    """What all results carry."""

    schema_version: Literal[1] = 1
    run_id: RunId
    artifact: ArtifactRef
    seconds: float = Field(ge=0, description="of the computation, also when it was found done")


class IngestResult(Result):
    """Where the volume lies; `verdict` is the worst of quality control."""

    stage: Literal["ingest"] = "ingest"
    volume: VolumeRef
    truth: VolumeRef | None = None
    planes: dict[PlaneAxis, VolumeRef] = {}
    verdict: Literal["ok", "warn", "fail"] = "ok"


class PreprocessResult(Result):
    """Where the cleaned volume lies."""

    stage: Literal["preprocess"] = "preprocess"
    volume: VolumeRef
    truth: VolumeRef | None = None
    planes: dict[PlaneAxis, VolumeRef] = {}


class SegmentResult(Result):
    """Where the labels lie; `fractions` is the volume fraction of each phase in `labels`."""

    stage: Literal["segment"] = "segment"
    labels: VolumeRef
    fractions: dict[str, float]
    dice: dict[str, float] | None = None
    planes: dict[PlaneAxis, VolumeRef] = {}


class SliceganTrainerResult(Result):
    """Where the generator lies: its weights (safetensors) and its card (JSON)."""

    stage: Literal["slicegan-trainer"] = "slicegan-trainer"
    weights: FileRef
    card: FileRef
    steps: int
    stopped_by: Literal["budget", "converged", "command"]


class SamplerResult(Result):
    """Where the new volumes lie."""

    stage: Literal["sampler"] = "sampler"
    volumes: tuple[VolumeRef, ...]


class MetricsResult(Result):
    """Where the descriptors lie (`descriptors.json`)."""

    stage: Literal["metrics"] = "metrics"
    descriptors: FileRef


class MesherResult(Result):
    """Where the meshes lie, by format."""

    stage: Literal["mesher"] = "mesher"
    volume: VolumeRef
    tetrahedra: int
    files: dict[str, FileRef]


class ComsolBridgeResult(Result):
    """Where the package lies; `simulated` is false where no COMSOL ran."""

    stage: Literal["comsol-bridge"] = "comsol-bridge"
    package: FileRef
    simulated: bool


AnyRequest = Annotated[
    IngestRequest
    | PreprocessRequest
    | SegmentRequest
    | SliceganTrainerRequest
    | SamplerRequest
    | MetricsRequest
    | MesherRequest
    | ComsolBridgeRequest,
    Field(discriminator="stage"),
]
AnyResult = Annotated[
    IngestResult
    | PreprocessResult
    | SegmentResult
    | SliceganTrainerResult
    | SamplerResult
    | MetricsResult
    | MesherResult
    | ComsolBridgeResult,
    Field(discriminator="stage"),
]
