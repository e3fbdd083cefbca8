"""SliceGAN, a trainer."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from porelay_nets.card import Axis, Widths, check_sizes
from porelay_schemas.base import Params

Rate = Annotated[float, Field(gt=0, le=0.1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class SliceganParams(Params):
    """The full schedule, with networks of the size of the paper. Training stops earlier where it has converged."""

    mode: Literal["isotropic", "anisotropic"] = Field(
        default="isotropic",
        description="isotropic: one critic for slices across all axes; anisotropic: one critic an axis",
    )
    directions: Annotated[tuple[Axis, ...], Field(min_length=1, max_length=3)] = Field(
        default=("z", "y", "x"),
        description="axes that the volume is sliced across for training images; anisotropic training needs all three",
    )
    patch_edge: int = Field(
        default=64,
        ge=8,
        le=512,
        description="edge of a training sample in voxels: a multiple of 2^(number of generator widths + 1)",
    )
    latent_channels: int = Field(default=32, ge=1, le=512, description="random numbers a latent node")
    generator_widths: Widths = Field(
        default=(1024, 512, 128, 32), description="channels after each transposed convolution of the generator"
    )
    critic_widths: Widths = Field(
        default=(64, 128, 256, 512), description="channels after each convolution of a critic"
    )
    batch: int = Field(default=8, ge=1, le=256, description="generated volumes a step")
    slices: int = Field(default=64, ge=1, le=4096, description="random slices of a batch that a critic sees, an axis")
    penalty_slices: int = Field(default=16, ge=1, le=4096, description="of them, those with a gradient penalty")
    penalty_weight: float = Field(default=10.0, ge=0, le=1000, description="weight of the gradient penalty")
    critic_steps: int = Field(default=5, ge=1, le=100, description="critic updates before each generator update")
    generator_rate: Rate = Field(default=1e-4, description="learning rate of the generator (Adam)")
    critic_rate: Rate = Field(default=1e-4, description="learning rate of the critics (Adam)")
    betas: tuple[Beta, Beta] = Field(default=(0.0, 0.9), description="decay rates of Adam's first and second moments")
    average_half_life: float = Field(
        default=2000.0,
        gt=0,
        le=1e7,
        description="half-life of the running average of the generator's weights, in generated volumes",
    )
    steps: int = Field(default=72_000, ge=1, le=10_000_000, description="budget: generator updates")
    eval_every: int = Field(default=500, ge=1, description="generator updates between comparisons with the data")
    eval_volumes: int = Field(default=4, ge=1, le=256, description="volumes of twice the patch's edge in a comparison")
    patience: int = Field(
        default=3, ge=1, le=1000, description="comparisons in a row within tolerance that end the training"
    )
    checkpoint_every: int = Field(default=200, ge=1, description="generator updates between checkpoints")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of the networks' convolutions; penalty, losses and optimisers are always float32",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="of every random number of the training")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_sizes(self.patch_edge, len(self.generator_widths), len(self.critic_widths))
        if len(set(self.directions)) < len(self.directions):
            raise ValueError(f"directions {list(self.directions)}: name each axis once")
        if self.mode == "anisotropic" and len(self.directions) < 3:
            raise ValueError(f"directions {list(self.directions)}: anisotropic training needs z, y and x")
        if self.slices > self.batch * self.patch_edge:
            raise ValueError(
                f"slices {self.slices}: {self.batch} volumes of {self.patch_edge} voxels have only "
                f"{self.batch * self.patch_edge} slices a direction. Use fewer slices or a larger batch."
            )
        if self.penalty_slices > self.slices:
            raise ValueError(f"penalty_slices {self.penalty_slices}: at most as many as slices ({self.slices})")
        return self


def slicegan(
    data: NDArray[Any] | Mapping[Axis, NDArray[Any]],
    *,
    phases: int | None,
    resume: Mapping[str, Any] | None = None,
    device: str = "cpu",
    params: SliceganParams,
) -> Iterator[Any]:
    """Learn a 3D generator from 2D slices by adversarial training (WGAN-GP).

    `data` is a volume (z, y, x), or images by the axis they lie across: {"z": (rows, columns) or (k, rows, columns),
    ...}, rows and columns in the order z, y, x. With `phases` its values are labels 0 ... phases - 1, without it is
    grey. Yields the learner (`porelay_slicegan_trainer.learner.Learner`) before the first generator step and after
    each, the same object each time: look at it, keep `learner.tensors()` to `resume` from later, leave the loop when
    you like, then `learner.finish()`. It ends by itself on the budget or on convergence. The same seed, data and number
    of torch threads give the same bits on one machine, also when resumed.

    Raises BadInput where the data cannot be learned from; see `porelay_slicegan_trainer.checks`.

    Kench and Cooper, Nature Machine Intelligence 3, 299-305 (2021), https://doi.org/10.1038/s42256-021-00322-1
    """
    from porelay_slicegan_trainer.checks import images_of
    from porelay_slicegan_trainer.training import train

    images = images_of(data, phases, params)
    return train(images, params, resume=resume, device=device)
