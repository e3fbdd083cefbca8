"""What training takes at its peak, reckoned before anything is loaded."""

from collections.abc import Iterable
from itertools import pairwise

from porelay_nets import geometry
from porelay_schemas.volumes import VolumeRef
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

BASE = 500 * 2**20
"""Interpreter and torch."""
ITEM = {"uint8": 1, "uint16": 2, "float32": 4}


def bytes_needed(volumes: Iterable[VolumeRef], outputs: int, params: SliceganParams) -> int:
    """Return the bytes of the training data and what is measured on them, the networks, and a step's activations."""
    step = max(_generator_step(outputs, params), _critic_step(outputs, params), _comparison(outputs, params))
    # Weights, gradients, two moments, their average, the best, and what a checkpoint holds while it is written.
    weights = 10 * _generator_weights(outputs, params) + 7 * _critic_weights(outputs, params)
    data = sum((ITEM.get(volume.dtype, 8) + 2) * volume.voxels for volume in volumes)
    return BASE + data + 4 * (weights + step)


def _generator_weights(outputs: int, params: SliceganParams) -> int:
    widths = (params.latent_channels, *params.generator_widths)
    return 64 * sum(a * b for a, b in pairwise(widths)) + 27 * widths[-1] * outputs


def _critic_weights(outputs: int, params: SliceganParams) -> int:
    widths = (outputs, *params.critic_widths)
    critics = 3 if params.mode == "anisotropic" else 1
    return critics * 16 * sum(a * b for a, b in pairwise(widths))


def _generator_step(outputs: int, params: SliceganParams) -> int:
    """Floats kept for the gradient: what each convolution and each norm gave, and as much again on the way back."""
    size = (params.patch_edge >> len(params.generator_widths) + 1) + geometry.HALO
    floats = 4 * outputs * params.patch_edge**3
    for width in params.generator_widths:
        size = 2 * size - 2
        floats += 3 * width * size**3
    return params.batch * floats + 3 * _critic_floats(outputs, params, params.slices)


def _critic_step(outputs: int, params: SliceganParams) -> int:
    # Second derivatives keep about three times what a plain pass keeps.
    plain, twice = (_critic_floats(outputs, params, count) for count in (params.slices, params.penalty_slices))
    return 3 * (2 * plain + 3 * twice)


def _critic_floats(outputs: int, params: SliceganParams, slices: int) -> int:
    floats, size = 2 * outputs * params.patch_edge**2, params.patch_edge
    for width in params.critic_widths:
        size //= 2
        floats += 2 * width * size**2
    return slices * floats


def _comparison(outputs: int, params: SliceganParams) -> int:
    """Floats of one volume of twice the patch's edge, with the features of its last stages, and the volumes kept."""
    half = params.patch_edge + 2
    features = 3 * params.generator_widths[-1] * half**3 + 16 * outputs * half**3
    return features + params.eval_volumes * (2 * params.patch_edge) ** 3
