"""Effective diffusivity against closed forms, published values, and what must hold for any medium."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from porelay_metrics import effective_conductivity, effective_diffusivity
from porelay_metrics.connected import percolating
from porelay_schemas.errors import BadInput

Mask = NDArray[np.bool_]


def channel() -> Mask:
    mask = np.zeros((20, 12, 11), bool)
    mask[:, 3:7, 2:9] = True
    return mask


@pytest.mark.parametrize("voxel_um", [(1, 1, 1), (1.25, 1, 1), (2, 1, 1), (10, 1, 1), (1, 3, 1), (0.02, 0.01, 0.05)])
def test_a_straight_channel_has_tortuosity_one_whatever_the_voxels_are(voxel_um: tuple[float, float, float]) -> None:
    found = effective_diffusivity(channel(), voxel_um, 0)
    assert found.effective == pytest.approx(28 / 132, rel=1e-6)
    assert found.tortuosity == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_open_box_lets_everything_through(axis: int) -> None:
    found = effective_diffusivity(np.ones((7, 5, 3), bool), (1.5, 1, 1), axis)
    assert found.effective == pytest.approx(1, rel=1e-6)


def test_a_bend_costs_the_same_in_voxels_of_another_shape() -> None:
    fine = np.zeros((16, 16, 16), bool)
    fine[:8, :8], fine[8:, 8:], fine[6:10] = True, True, True
    split = effective_diffusivity(np.repeat(fine, 2, axis=2), (1, 1, 0.5), tolerance=1e-8)
    whole = effective_diffusivity(fine, tolerance=1e-8)
    assert split.effective == pytest.approx(whole.effective, rel=1e-6)


def test_layers_conduct_in_series_and_in_parallel() -> None:
    layers = np.ones((20, 6, 6))
    layers[10:] = 0.1
    assert effective_conductivity(layers, axis=0, tolerance=1e-7).effective == pytest.approx(0.181818, abs=1e-6)
    assert effective_conductivity(layers, axis=1, tolerance=1e-7).effective == pytest.approx(0.55, abs=1e-6)


def test_a_slanted_strip_has_the_known_tortuosity() -> None:
    """Squares of 2 x 2 voxels that climb along the diagonal: one voxel of each meets one of the next."""
    mask = np.zeros((20, 21, 21), bool)
    for z in range(20):
        mask[z, z : z + 2, z : z + 2] = True
    assert effective_diffusivity(mask, tolerance=1e-8).tortuosity == pytest.approx(7.51667, abs=5e-6)


def test_an_island_counts_in_the_total_tortuosity_only() -> None:
    mask = np.zeros((40, 40, 40), bool)
    mask[:, :20, :20] = True
    mask[30:34, 30:34, 30:34] = True
    found = effective_diffusivity(mask)
    assert found.effective == pytest.approx(0.25, rel=1e-6)
    assert found.tortuosity == pytest.approx(1.004, abs=1e-6)
    assert found.tortuosity_percolating == pytest.approx(1, rel=1e-6)


def test_a_dead_end_at_one_height_carries_nothing_and_counts_in_the_tortuosity() -> None:
    mask = np.zeros((20, 12, 12), bool)
    mask[:, 4:8, 4:8] = True
    mask[10, 8:, 4:8] = True
    found = effective_diffusivity(mask)
    assert found.effective == pytest.approx(16 / 144, rel=1e-6)
    assert found.tortuosity == found.tortuosity_percolating == pytest.approx(1.05, rel=1e-6)


@pytest.mark.parametrize("filled", [[], [(5, 5, 5)], [(0, 3, 3), (11, 3, 3)]])
def test_a_phase_that_does_not_percolate_says_so_and_has_no_tortuosity(filled: list[tuple[int, int, int]]) -> None:
    mask = np.zeros((12, 12, 12), bool)
    for voxel in filled:
        mask[voxel] = True
    found = effective_diffusivity(mask)
    assert (found.percolates, found.effective, found.tortuosity, found.tortuosity_percolating) == (False, 0, None, None)


def test_diagonal_contact_does_not_conduct() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[:4, :4], mask[4:, 4:] = True, True
    assert not effective_diffusivity(mask).percolates


def test_a_single_row_of_voxels_conducts() -> None:
    mask = np.zeros((9, 5, 5), bool)
    mask[:, 2, 2] = True
    assert effective_diffusivity(mask).effective == pytest.approx(1 / 25, rel=1e-6)


def test_the_published_values_of_a_porous_volume_come_out(shared: Callable[[str], NDArray[np.uint8]]) -> None:
    solid = shared("porous_1bit_labels.tif").astype(bool)
    for axis, tortuosity in enumerate((1.7070, 1.7132, 1.7065)):
        found = effective_diffusivity(~solid, axis=axis, tolerance=1e-5)
        assert found.tortuosity == pytest.approx(tortuosity, abs=6e-5)


def test_the_error_is_not_larger_than_it_says(blobs: Callable[..., Mask]) -> None:
    for seed, fraction in enumerate((0.3, 0.4, 0.5, 0.6)):
        mask = blobs((45, 37, 52), fraction, seed)
        exact = effective_diffusivity(mask, tolerance=1e-9).effective
        for tolerance in (1e-2, 1e-3, 1e-4):
            found = effective_diffusivity(mask, tolerance=tolerance)
            assert -1e-8 < found.effective / exact - 1 < tolerance
            assert found.effective - exact <= found.error + 1e-9


def test_too_few_iterations_are_an_error_that_says_so(blobs: Callable[..., Mask]) -> None:
    with pytest.raises(BadInput, match=r"stopped after 2 iterations .* wanted 1\.0e-04\. Raise max_iterations"):
        effective_diffusivity(blobs((32, 32, 32), 0.4), max_iterations=2)


def test_a_flat_array_is_refused() -> None:
    with pytest.raises(BadInput, match=r"got shape \(4, 4\)"):
        effective_diffusivity(np.ones((4, 4), bool))


def direct(conductivity: NDArray[np.float64], voxel_um: tuple[float, float, float]) -> float:
    """Return the conductivity along z from a direct solution of the same equations."""
    from scipy.sparse import lil_matrix
    from scipy.sparse.linalg import spsolve

    size, layers = conductivity.size, conductivity.shape[0]
    number = np.arange(size).reshape(conductivity.shape)
    matrix, force = lil_matrix((size, size)), np.zeros(size)
    matrix.setdiag(np.where(conductivity.ravel() > 0, 0, 1))
    for axis, edge in enumerate(voxel_um):
        near, far = (np.moveaxis(a, axis, 0)[part] for part in (slice(None, -1), slice(1, None)) for a in (number,))
        for i, j in zip(near.ravel(), far.ravel(), strict=True):
            a, b = conductivity.flat[i], conductivity.flat[j]
            if a > 0 and b > 0:
                face = 2 * a * b / (a + b) / edge**2
                matrix[i, i] += face
                matrix[j, j] += face
                matrix[i, j] -= face
                matrix[j, i] -= face
    inlet, outlet = number[0].ravel(), number[-1].ravel()
    for end, value in ((inlet, 0.0), (outlet, 1.0)):
        for i in end:
            face = 2 * conductivity.flat[i] / voxel_um[0] ** 2
            matrix[i, i] += face
            force[i] += face * value
    potential = spsolve(matrix.tocsc(), force)
    flux = (2 * conductivity.ravel()[inlet] * potential[inlet]).sum() / voxel_um[0]
    return float(flux / inlet.size * layers * voxel_um[0])


@pytest.mark.parametrize("voxel_um", [(1.0, 1.0, 1.0), (3.0, 1.0, 0.7), (0.3, 1.0, 1.0)])
def test_solutions_agree_with_a_direct_solver(blobs: Callable[..., Mask], voxel_um: tuple[float, float, float]) -> None:
    mask = percolating(blobs((11, 9, 10), 0.6, 5, 1.2), 0)
    found = effective_diffusivity(mask, voxel_um, tolerance=1e-8)
    assert found.effective == pytest.approx(direct(mask.astype(float), voxel_um), rel=1e-7)
    mixed = np.where(mask, 1.0, 0.02) * np.random.default_rng(1).uniform(0.5, 1, mask.shape)
    found = effective_conductivity(mixed, voxel_um, tolerance=1e-8)
    assert found.effective == pytest.approx(direct(mixed, voxel_um), rel=1e-6)


media = st.tuples(
    st.integers(0, 10**6), st.floats(0.35, 0.9), st.tuples(st.integers(2, 14), st.integers(2, 14), st.integers(2, 14))
)


@settings(max_examples=40, deadline=None)
@given(media, st.sampled_from([(1.0, 1.0, 1.0), (3.0, 1.0, 0.7)]))
def test_bounds_reflection_and_permutation_hold_in_any_medium(
    medium: tuple[int, float, tuple[int, int, int]], voxel_um: tuple[float, float, float]
) -> None:
    seed, fraction, shape = medium
    mask = np.random.default_rng(seed).random(shape) < fraction
    found = effective_diffusivity(mask, voxel_um, 0, tolerance=1e-7)
    assert 0 <= found.effective <= float(percolating(mask, 0).mean()) * (1 + 1e-6)
    mirrored = effective_diffusivity(mask[::-1, :, ::-1], voxel_um, 0, tolerance=1e-7)
    assert mirrored.effective == pytest.approx(found.effective, rel=2e-6)
    turned = effective_diffusivity(
        np.transpose(mask, (2, 0, 1)), (voxel_um[2], voxel_um[0], voxel_um[1]), 1, tolerance=1e-7
    )
    assert turned.effective == pytest.approx(found.effective, rel=2e-6)
