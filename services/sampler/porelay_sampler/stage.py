"""Draw new volumes from a generator, shard by shard in bounded memory; the generator's card stays beside them."""

from math import lcm
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from porelay_kit.bench import Bench
from porelay_kit.plugins import Bound
from porelay_kit.tiles import blocks, require
from porelay_kit.volumes import Volume
from porelay_nets.card import Card
from porelay_sampler import page
from porelay_sampler.methods.slicegan import SliceganParams
from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import SamplerRequest, SamplerResult
from porelay_schemas.plan import MethodCall
from porelay_schemas.volumes import ArtifactRef

if TYPE_CHECKING:
    from porelay_nets.networks import Generator


def run(request: SamplerRequest, bench: Bench) -> SamplerResult:
    """Answer with `sample_000.zarr`, `sample_001.zarr`, ...; `samples.json` tells what is in each."""
    from porelay_nets import weights
    from porelay_nets.runtime import default_device, reproducible

    bound = bench.bind("sampler", request.use[0] if request.use else MethodCall(method="slicegan"))
    params = cast(SliceganParams, bound.params)
    card = read_card(bench, request.generator)
    path = bench.file(request.generator, "generator.safetensors")
    generator = weights.generator(path, card.architecture, device=default_device())
    volumes, counts = [], []
    with reproducible(bench.workers):
        for index in range(params.samples):
            volume = new_volume(bench, card, index, params.shape)
            counts.append(draw(bound, generator, volume, index, bench))
            volumes.append(volume)
    bench.write_json("card.json", card.model_dump(mode="json"))
    bench.write_json("samples.json", page.samples(volumes, counts, params, card))
    bench.section(page.section(bench, volumes, counts, params, card))
    return SamplerResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        volumes=tuple(volume.ref for volume in volumes),
    )


def read_card(bench: Bench, generator: ArtifactRef) -> Card:
    """Return the card of a generator; raise BadInput where it is not one."""
    path = bench.file(generator, "card.json")
    try:
        return Card.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise BadInput(f"generator card {path.name}: cannot be used ({error}). Train the generator again.") from error


def new_volume(bench: Bench, card: Card, index: int, shape: Axis3) -> Volume:
    """Make the empty volume of a sample."""
    name = f"sample_{index:03d}.zarr"
    kind = card.architecture.kind
    return bench.new_volume(name, kind=kind, shape=shape, dtype="uint8", voxel_um=card.voxel_um)


def draw(bound: Bound, generator: "Generator", volume: Volume, index: int, bench: Bench) -> NDArray[np.int64]:
    """Fill a volume in blocks of whole shards and whole tiles; return how often each value occurs (256,)."""
    from porelay_sampler.tiling import bytes_needed, tile_edge

    params = cast(SliceganParams, bound.params)
    block = block_shape(volume.shape, volume.shard, tile_edge(generator.factor, params))
    needed = bytes_needed(generator, params) + 2 * int(np.prod(block))
    require(bench, needed, f"a tile of {params.tile_edge} voxels (tile_edge)")
    counts = np.zeros(256, dtype=np.int64)
    done, total = index * volume.ref.voxels, params.samples * volume.ref.voxels
    for box in blocks(volume.shape, block):
        drawn = bound(generator, sample=index, box=box)
        volume[box] = drawn
        counts += np.bincount(drawn.ravel(), minlength=256)
        done += drawn.size
        bench.progress(done, total)
    return counts


def block_shape(shape: Axis3, shard: Axis3, tile: int) -> Axis3:
    """Return the smallest block that is made of whole shards and of whole tiles, clipped to the volume."""
    z, y, x = (min(size, lcm(part, tile)) for size, part in zip(shape, shard, strict=True))
    return z, y, x
