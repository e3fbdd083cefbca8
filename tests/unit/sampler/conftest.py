"""A tiny generator with random weights: geometry does not care what it has learned."""

import pytest
import torch

from porelay_nets.card import Architecture
from porelay_nets.networks import Generator


def tiny(kind: str = "labels", outputs: int = 3) -> Architecture:
    """Two stages, so a latent node is 8 voxels."""
    return Architecture.model_validate(
        {
            "kind": kind,
            "outputs": outputs,
            "patch_edge": 16,
            "latent_channels": 4,
            "generator_widths": (16, 8),
            "critic_widths": (4, 8),
        }
    )


def with_random_weights(architecture: Architecture) -> Generator:
    torch.manual_seed(3)
    generator = Generator(architecture)
    for part in generator.stages.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            part.running_mean.normal_(std=0.1)
            part.running_var.fill_(0.3)
    with torch.no_grad():
        generator.last.weight.mul_(8)
    return generator.to(memory_format=torch.channels_last_3d).eval()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def generator() -> Generator:
    return with_random_weights(tiny())


@pytest.fixture(scope="session")
def grey_generator() -> Generator:
    return with_random_weights(tiny("grey", 1))


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return tiny()


@pytest.fixture(scope="session")
def grey_architecture() -> Architecture:
    return tiny("grey", 1)
