"""SliceGAN's networks: a 3D generator without any border effect, and a 2D critic of its slices.

Kench and Cooper, Nature Machine Intelligence 3, 299-305 (2021). Their last stage resizes to a size computed from the
input's, so its zoom depends on the volume; here the zoom is exactly 2 and the border is cropped, which makes the
generator shift-invariant: volumes of any size have the same statistics, tiles abut exactly, wrapped latents give
exactly periodic volumes.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from porelay_nets.card import Architecture
from porelay_nets.fused import coarse_kernel, interleave

Net = TypeVar("Net", bound=nn.Module)


class Generator(nn.Module):
    """Latent nodes (b, c, z, y, x) -> probabilities of the phases, or one grey value, 0 to 1 (b, n, Z, Y, X)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.factor = architecture.factor
        self.latent_channels = architecture.latent_channels
        self.outputs = architecture.outputs
        self.grey = architecture.kind == "grey"
        ins = (architecture.latent_channels, *architecture.generator_widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose3d(here, after, kernel_size=4, stride=2, padding=2, bias=False),
                nn.BatchNorm3d(after),
                nn.ReLU(inplace=True),
            )
            for here, after in zip(ins, architecture.generator_widths, strict=True)
        )
        self.last = nn.Conv3d(architecture.generator_widths[-1], self.outputs, kernel_size=3)

    def features(self, latent: Tensor) -> Tensor:
        """Return what the last stage sees: (b, widths[-1], edge / 2 + 2, ...)."""
        for stage in self.stages:
            latent = stage(latent)
        return latent

    def coarse_logits(self, latent: Tensor) -> Tensor:
        """Return the logits before their shuffle, (b, 8 n, Z / 2, Y / 2, X / 2): see `fused.interleave`."""
        bias = None if self.last.bias is None else self.last.bias.repeat(8)
        return functional.conv3d(self.features(latent), coarse_kernel(self.last.weight), bias)

    def logits(self, latent: Tensor) -> Tensor:
        """Return the logits (b, n, Z, Y, X)."""
        return interleave(self.coarse_logits(latent), self.outputs)

    def forward(self, latent: Tensor) -> Tensor:
        """Return probabilities, or grey."""
        logits = self.logits(latent).float()
        return torch.sigmoid(logits) if self.grey else torch.softmax(logits, dim=1)


class Critic(nn.Module):
    """Square slices (b, n, e, e) -> one score each (b,). No norm: the penalty acts on each slice alone."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        ins = (architecture.outputs, *architecture.critic_widths[:-1])
        layers: list[nn.Module] = []
        for here, after in zip(ins, architecture.critic_widths, strict=True):
            layers += [nn.Conv2d(here, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        rest = architecture.patch_edge >> len(architecture.critic_widths)
        self.layers = nn.Sequential(*layers, nn.Conv2d(architecture.critic_widths[-1], 1, kernel_size=rest))

    def forward(self, slices: Tensor) -> Tensor:
        """Return the scores: higher for what looks real."""
        scores: Tensor = self.layers(slices)
        return scores.flatten()


def placed(net: Net, device: str) -> Net:
    """Move a net to a device, in the memory layout that convolutions are fastest in."""
    convolutions = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    layout = torch.channels_last if convolutions else torch.channels_last_3d
    net.to(device)
    for weight in net.parameters():
        if weight.dim() == (4 if convolutions else 5):
            weight.data = weight.data.contiguous(memory_format=layout)
    return net
