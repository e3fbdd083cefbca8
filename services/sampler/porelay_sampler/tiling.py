"""Volumes in tiles of a fixed grid, two latent nodes of halo each; tiles abut exactly and memory is bounded."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from porelay_nets import geometry
from porelay_nets.networks import Generator
from porelay_sampler.latents import LatentField
from porelay_sampler.methods.slicegan import Box, SliceganParams
from porelay_schemas.base import Axis3


def draw(generator: Generator, field: LatentField, box: Box, params: SliceganParams) -> NDArray[np.uint8]:
    """Return a box of a volume, from the whole tiles that it touches."""
    edge = tile_edge(generator.factor, params)
    volume = np.empty([part.stop - part.start for part in box], dtype=np.uint8)
    for corner in tiles(box, edge):
        block = tile(generator, field, corner, params)
        source, target = [], []
        for part, start in zip(box, corner, strict=True):
            low, high = max(part.start, start), min(part.stop, start + edge)
            source.append(slice(low - start, high - start))
            target.append(slice(low - part.start, high - part.start))
        volume[tuple(target)] = block[tuple(source)]
    return volume


def tiles(box: Box, edge: int) -> Iterator[Axis3]:
    """Yield the first voxels (z, y, x) of the grid's tiles that a box touches."""
    z, y, x = (range(part.start // edge * edge, part.stop, edge) for part in box)
    yield from product(z, y, x)


def tile_edge(factor: int, params: SliceganParams) -> int:
    """Return the edge of a tile in voxels: as many whole latent nodes as `tile_edge` holds, at least one."""
    return max(params.tile_edge // factor, 1) * factor


def tile(generator: Generator, field: LatentField, corner: Axis3, params: SliceganParams) -> NDArray[np.uint8]:
    """Compute one tile (z, y, x), whole even where it reaches beyond the volume: no bit of it depends on the box."""
    count = tile_edge(generator.factor, params) // generator.factor + geometry.HALO
    z, y, x = (first // generator.factor for first in corner)
    return levels(generator, field.window((z, y, x), (count, count, count)), params)


def levels(generator: Generator, nodes: NDArray[np.float32], params: SliceganParams) -> NDArray[np.uint8]:
    """Turn nodes (1, c, z, y, x) into phases or grey levels (Z, Y, X), chosen before the fine grid is put together."""
    device = generator.last.weight.device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=params.precision == "bfloat16"):
        latent = torch.from_numpy(nodes).to(device).contiguous(memory_format=torch.channels_last_3d)
        logits = generator.coarse_logits(latent)[0]
        logits = logits.reshape(8, generator.outputs, *logits.shape[1:])
        if generator.grey:
            chosen = torch.sigmoid(logits[:, 0].float()).mul_(255).round_().to(torch.uint8)
        else:
            chosen = logits.argmax(dim=1).to(torch.uint8)
    coarse = chosen.cpu().numpy()
    z, y, x = (2 * size for size in coarse.shape[1:])
    fine = np.empty((z, y, x), dtype=np.uint8)
    for parity, part in zip(product((0, 1), repeat=3), coarse, strict=True):
        fine[parity[0] :: 2, parity[1] :: 2, parity[2] :: 2] = part
    return fine


def bytes_needed(generator: Generator, params: SliceganParams) -> int:
    """Return what a tile takes at its peak: features and logits in float32, and what convolutions need beside them."""
    peak, size = 0, tile_edge(generator.factor, params) // generator.factor + geometry.HALO
    for stage in generator.stages:
        layer = stage[0]  # type: ignore[index]
        before, size = layer.in_channels * size**3, 2 * size - 2
        peak = max(peak, before + 3 * layer.out_channels * size**3)
    last = generator.last.in_channels * size**3 + 3 * 8 * generator.outputs * (size - 2) ** 3
    weights = sum(part.numel() for part in generator.parameters())
    return 4 * (max(peak, last) + 2 * weights)
