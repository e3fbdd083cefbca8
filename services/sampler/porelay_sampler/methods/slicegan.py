"""SliceGAN, a sampler."""

from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Params

Box = tuple[slice, slice, slice]
Voxels = Annotated[int, Field(ge=1, le=1_000_000)]


class SliceganParams(Params):
    """How many volumes, how large, and which."""

    shape: tuple[Voxels, Voxels, Voxels] = Field(default=(64, 64, 64), description="voxels of a volume along (z, y, x)")
    samples: int = Field(default=1, ge=1, le=1000, description="volumes to draw")
    periodic: tuple[bool, bool, bool] = Field(
        default=(False, False, False),
        description="along which of (z, y, x) a volume repeats exactly; a size there is a whole number of latent nodes",
    )
    tile_edge: int = Field(
        default=128,
        ge=16,
        le=1024,
        description="edge in voxels of the tiles that volumes are computed in, rounded down to whole latent nodes",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the convolutions; bfloat16 is faster where the processor has it"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the latent nodes; one seed, the same volumes")


def slicegan(generator: Any, *, sample: int, box: Box | None = None, params: SliceganParams) -> NDArray[Any]:
    """Draw a volume of any size from a SliceGAN generator, exactly periodic where asked, box by box.

    `generator` is a `porelay_nets.networks.Generator`, as `porelay_nets.weights.generator` reads it. Returns uint8
    (z, y, x): the most probable phase of each voxel, or grey levels 0 ... 255; of the whole volume or of a `box` of it
    with ends inside the volume. `sample` counts the volumes of one seed. A voxel is always computed in
    the same tile of the same grid, so a box holds what the whole volume holds there, to the bit, on one machine with
    one number of threads. Larger volumes of the same seed continue smaller ones, unless they are periodic.

    Raises BadInput where a periodic size is no multiple of the latent node's, with the sizes that are.
    """
    from porelay_sampler.latents import LatentField, period_of
    from porelay_sampler.tiling import draw

    period = period_of(params.shape, params.periodic, generator.factor)
    field = LatentField(params.seed, sample, generator.latent_channels, period)
    z, y, x = params.shape
    return draw(generator, field, box or (slice(0, z), slice(0, y), slice(0, x)), params)
