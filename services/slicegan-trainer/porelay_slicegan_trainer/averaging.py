"""The running average of the generator's weights, and the BatchNorm statistics that belong to it."""

import copy

import torch

from porelay_nets.networks import Generator
from porelay_slicegan_trainer.chance import Stream, latent, rng
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

STATISTICS_BATCHES = 12
RAMP = 0.1


def update(average: Generator, present: Generator, step: int, params: SliceganParams) -> None:
    """Move the average towards the present weights; a young average forgets faster than its half-life asks."""
    half_life = min(params.average_half_life, max(RAMP * params.batch * step, 1e-9))
    share = 1 - 0.5 ** (params.batch / half_life)
    with torch.no_grad():
        for kept, new in zip(average.parameters(), present.parameters(), strict=True):
            kept.lerp_(new, share)


def recalibrated(average: Generator, params: SliceganParams, device: str) -> Generator:
    """Return a copy of the average with BatchNorm statistics of its own, ready to sample from.

    The running statistics that training leaves belong to the present weights; with them an average gives volumes that
    are off by several times the error of either.
    """
    copied = copy.deepcopy(average)
    for norm in copied.modules():
        if isinstance(norm, torch.nn.BatchNorm3d):
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative average
    copied.train()
    nodes = (params.patch_edge >> len(params.generator_widths) + 1) + 2
    for index in range(STATISTICS_BATCHES):
        drawn = latent(rng(params.seed, Stream.STATISTICS, index), params.batch, params.latent_channels, nodes)
        with torch.no_grad():
            copied.features(torch.from_numpy(drawn).to(device))
    return copied.eval()
