"""Weights to begin with: an untrained generator that already chooses, in about the right fractions.

Otherwise its first outputs are all alike, a third of each of three phases, and the critic is far ahead before the
generator has learned to choose. Measured on a short training, that costs about half of its steps.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from porelay_nets import geometry
from porelay_nets.networks import Generator
from porelay_slicegan_trainer.chance import Stream, latent, rng

SPREAD_PHASES = 3.0
SPREAD_GREY = 1.0
NODES = 4 + geometry.HALO


def decided(generator: Generator, levels: NDArray[np.float64], seed: int) -> Generator:
    """Scale the last stage to logits of a set spread about `levels` (outputs,), the logits of the data's own means."""
    drawn = latent(rng(seed, Stream.WEIGHTS, 0), 1, generator.latent_channels, NODES)
    with torch.no_grad():
        logits = generator.logits(torch.from_numpy(drawn))[0].flatten(1)
        spread = SPREAD_GREY if generator.grey else SPREAD_PHASES
        scale = spread / (logits - logits.mean(dim=1, keepdim=True)).std()
        bias = generator.last.bias
        assert bias is not None
        bias.copy_(torch.from_numpy(levels) - scale * (logits.mean(dim=1) - bias))
        generator.last.weight.mul_(scale)
    return generator
