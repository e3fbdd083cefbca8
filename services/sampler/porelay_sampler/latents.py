"""The endless field of latent nodes: every node has its numbers, whoever asks, in whatever order."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from porelay_nets import geometry
from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput

BLOCK = 8
LEAST_PERIOD = geometry.HALO + 1


@dataclass(frozen=True)
class LatentField:
    """Nodes of one volume, drawn block by block from (seed, sample, place); `period` in nodes, 0 where endless."""

    seed: int
    sample: int
    channels: int
    period: Axis3 = (0, 0, 0)

    def window(self, start: Axis3, nodes: Axis3) -> NDArray[np.float32]:
        """Return the nodes (1, channels, z, y, x) from `start` on."""
        places = [
            (np.arange(first, first + count) % period if period else np.arange(first, first + count))
            for first, count, period in zip(start, nodes, self.period, strict=True)
        ]
        window = np.empty((self.channels, *nodes), dtype=np.float32)
        for corner in product(*(np.unique(place // BLOCK) for place in places)):
            inside = [np.flatnonzero(place // BLOCK == block) for place, block in zip(places, corner, strict=True)]
            within = [place[chosen] % BLOCK for place, chosen in zip(places, inside, strict=True)]
            block = self._block(*(int(part) for part in corner))
            target, source = (np.ix_(np.arange(self.channels), *chosen) for chosen in (inside, within))
            window[target] = block[source]
        return window[None]

    def _block(self, z: int, y: int, x: int) -> NDArray[np.float32]:
        chance = np.random.SeedSequence(self.seed, spawn_key=(self.sample, z, y, x))
        shape = (self.channels, BLOCK, BLOCK, BLOCK)
        return np.random.default_rng(chance).standard_normal(shape, dtype=np.float32)


def period_of(shape: Axis3, periodic: tuple[bool, bool, bool], factor: int) -> Axis3:
    """Return the period in nodes along each axis, 0 where there is none; raise BadInput where a size allows none."""
    z, y, x = (
        _nodes(axis, size, factor) if wanted else 0 for axis, size, wanted in zip("zyx", shape, periodic, strict=True)
    )
    return z, y, x


def _nodes(axis: str, size: int, factor: int) -> int:
    least = LEAST_PERIOD * factor
    if size % factor or size < least:
        below = max(size // factor * factor, least)
        above = max(-(-size // factor) * factor, least)
        wanted = f"{below}" if below == above else f"{below} or {above}"
        raise BadInput(
            f"sampler.shape: {size} voxels along {axis} cannot be periodic, wanted a multiple of {factor} from {least} "
            f"on (one latent node is {factor} voxels, a voxel depends on three). Use {wanted}, or periodic false there."
        )
    return size // factor
