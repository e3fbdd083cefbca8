"""Random numbers by purpose and step: there is no generator whose state would have to be kept for a resume."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Stream(IntEnum):
    """Streams that never mix: evaluating more or less often does not change what is learned."""

    WEIGHTS = 0
    CRITIC = 1
    GENERATOR = 2
    STATISTICS = 3
    EVALUATION = 4
    VERDICT = 5


def rng(seed: int, stream: Stream, *counters: int) -> np.random.Generator:
    """Return the generator of random numbers of a purpose at given counts of steps."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *counters)))


def latent(source: np.random.Generator, batch: int, channels: int, nodes: int) -> NDArray[np.float32]:
    """Draw latent nodes (batch, channels, nodes, nodes, nodes) from the normal distribution."""
    return source.standard_normal((batch, channels, nodes, nodes, nodes), dtype=np.float32)
