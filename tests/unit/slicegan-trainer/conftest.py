"""Small materials with known answers, and parameters of a network that trains in a second."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from porelay_slicegan_trainer.methods.slicegan import SliceganParams


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def blobs(shape: tuple[int, ...], *, scale: float, phases: int = 2, seed: int = 0) -> NDArray[np.uint8]:
    """Phases of equal fractions: a smoothed noise cut at its quantiles. Isotropic and stationary."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale, mode="wrap")
    cuts = np.quantile(field, np.arange(1, phases) / phases)
    return np.digitize(field, cuts).astype(np.uint8)


def small(**given: object) -> SliceganParams:
    """Patch 16, two stages; everything else as small as it goes."""
    base: dict[str, object] = {
        "patch_edge": 16,
        "latent_channels": 4,
        "generator_widths": (8, 8),
        "critic_widths": (8, 8),
        "batch": 2,
        "slices": 4,
        "penalty_slices": 2,
        "critic_steps": 2,
        "generator_rate": 1e-3,
        "critic_rate": 1e-3,
        "average_half_life": 20.0,
        "steps": 20,
        "eval_every": 10,
        "eval_volumes": 1,
        "checkpoint_every": 5,
    }
    return SliceganParams.model_validate(base | given)


@pytest.fixture(scope="session")
def material() -> NDArray[np.uint8]:
    return blobs((24, 32, 40), scale=2.0)


@pytest.fixture(scope="session")
def make_blobs() -> Callable[..., NDArray[np.uint8]]:
    """Return `make_blobs(shape, scale=..., phases=2, seed=0)`."""
    return blobs


@pytest.fixture(scope="session")
def make_params() -> Callable[..., SliceganParams]:
    """Return `make_params(**changes)`."""
    return small
