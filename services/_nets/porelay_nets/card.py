"""The card of a generator: all that is needed to build it, to use it honestly, and to train it again."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from porelay_nets import geometry
from porelay_schemas.base import Axis3, Closed, VoxelUm
from porelay_schemas.plan import Phase
from porelay_schemas.volumes import Kind, Sha256

Widths = Annotated[tuple[Annotated[int, Field(ge=2, le=4096)], ...], Field(min_length=1, max_length=6)]
Axis = Literal["z", "y", "x"]


class Architecture(Closed):
    """The shape of both networks."""

    kind: Kind = Field(description="labels: one output a phase, softmax; grey: one output, sigmoid")
    outputs: int = Field(ge=1, le=8, description="phases, or 1 for grey")
    patch_edge: int = Field(ge=8, le=512, description="voxels an axis of a training sample, and of a critic's slice")
    latent_channels: int = Field(ge=1, le=512)
    generator_widths: Widths
    critic_widths: Widths

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_sizes(self.patch_edge, len(self.generator_widths), len(self.critic_widths))
        return self

    @property
    def stages(self) -> int:
        """Transposed convolutions of the generator."""
        return len(self.generator_widths)

    @property
    def factor(self) -> int:
        """Voxels an axis that one latent node stands for."""
        return geometry.factor(self.stages)

    @property
    def latent_nodes(self) -> int:
        """Latent nodes an axis of a training sample."""
        return geometry.nodes(self.stages, self.patch_edge)


def check_sizes(patch_edge: int, stages: int, critic_stages: int) -> None:
    """Raise ValueError where the patch does not fit the generator's doublings or the critic's halvings."""
    step = geometry.factor(stages)
    if patch_edge % step:
        low = max(patch_edge // step, 1) * step
        raise ValueError(
            f"patch_edge {patch_edge}: {stages} generator widths give multiples of {step} = 2^({stages} + 1) voxels. "
            f"Use {low} or {low + step}, or another number of generator widths."
        )
    if patch_edge % 2**critic_stages or patch_edge < 2 * 2**critic_stages:
        raise ValueError(
            f"critic_widths: {critic_stages} halvings do not divide a patch of {patch_edge} voxels into two or more. "
            "Give fewer critic widths."
        )


class TrainingData(Closed):
    """What the generator learned from."""

    shape: Axis3 | None = Field(description="(z, y, x) of the volume; none for separate images")
    dtype: str
    sha256: Sha256
    fractions: dict[str, float] = Field(description="volume fraction of each phase, or of each quartile of grey")
    window: tuple[float, float] | None = Field(default=None, description="grey values that 0 and 1 stand for")
    warnings: tuple[str, ...] = Field(default=(), description="what the checks before training warned of")


class Training(Closed):
    """How it learned, and how well."""

    method: str
    params: dict[str, JsonValue]
    seed: int
    steps: int = Field(ge=0, description="generator steps taken")
    exported_step: int = Field(ge=0, description="the step whose averaged weights are exported")
    stopped_by: Literal["budget", "converged", "command"]
    threads: int = Field(ge=1, description="of torch; the bytes of the weights depend on it")
    device: str
    quality: dict[str, float] = Field(description="errors of fresh samples against the training data, by name")


class Card(Closed):
    """Travels beside the weights, from the trainer to the sampler and on to whoever uses the volumes."""

    schema_version: Literal[1] = 1
    architecture: Architecture
    phases: tuple[Phase, ...] = Field(description="in the order of the outputs; none for grey")
    voxel_um: VoxelUm = Field(description="of the volumes that the generator gives, (z, y, x)")
    weights_sha256: Sha256
    data: TrainingData
    training: Training
    versions: dict[str, str]
