"""Gaussian mixture: the full likelihood, learned with and without marked regions."""

import numpy as np
import pytest

from porelay_schemas.errors import BadInput
from porelay_schemas.frames import InMemory
from porelay_schemas.plan import Phase
from porelay_segment import mixture
from porelay_segment.features import Describer
from porelay_segment.methods.gmm import GmmParams, gmm, learn

PHASES = (Phase(name="pore", colour="#000000"), Phase(name="solid", colour="#ffffff"))
THREE = (*PHASES, Phase(name="cbd", colour="#888888"))


def test_scores_are_log_weight_plus_log_density(rng):
    found = mixture.Mixture(
        np.array([0.3, 0.7]), np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[[2.0, 0.5], [0.5, 1.0]], np.eye(2) * 3])
    )
    x = rng.normal(size=(2, 50))
    expected = []
    for weight, mean, covariance in zip(found.weights, found.means, found.covariances, strict=True):
        d = x - mean[:, None]
        mahalanobis = np.einsum("fn,fg,gn->n", d, np.linalg.inv(covariance), d)
        expected.append(np.log(weight) - 0.5 * (mahalanobis + np.log(np.linalg.det(2 * np.pi * covariance))))
    np.testing.assert_allclose(mixture.scores(found, x), expected)


def test_wide_and_narrow_phases_meet_where_their_densities_are_equal():
    """N(100, 2) against N(140, 20): the nearest mean, or the Mahalanobis distance alone, would cut elsewhere."""
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], 40_000)
    values = np.where(truth == 0, rng.normal(100, 2, truth.size), rng.normal(140, 20, truth.size))
    grey = values.reshape(2, 200, 200).astype(np.float32)
    labels = gmm(grey, PHASES, GmmParams(least_sigma=0.01))
    levels = np.linspace(90, 130, 401)
    dense = 0.5 * np.exp(-(((levels - 100) / 2) ** 2) / 2) / 2 > 0.5 * np.exp(-(((levels - 140) / 20) ** 2) / 2) / 20
    upper = levels[dense].max()
    narrow = grey[labels == 0]
    assert narrow.max() == pytest.approx(upper, abs=0.3)
    assert (labels[1] == 1).mean() == pytest.approx((truth[40_000:] == 1).mean(), abs=0.05)


def test_priors_are_learned_and_matter(rng):
    truth = (rng.random((8, 64, 64)) < 0.1).astype(int)
    grey = (100 + 30 * truth + rng.normal(0, 8, truth.shape)).clip(0, 255).astype(np.uint8)
    learned = learn(InMemory(grey), PHASES, GmmParams())
    assert learned.classes[1].share == pytest.approx(0.1, abs=0.03)
    estimated, equal = (gmm(grey, PHASES, GmmParams(priors=priors)) for priors in ("estimated", "equal"))
    assert (estimated == truth).mean() > (equal == truth).mean() > 0.8


def test_marked_regions_say_which_phase_is_which():
    """Two phases of equal mean that only the texture tells apart, marked by a box each."""
    rng = np.random.default_rng(2)
    grey = np.full((12, 64, 64), 120.0)
    rough = np.zeros(grey.shape, bool)
    rough[:, :, 32:] = True
    grey += np.where(rough, 1, 0) * 30 * rng.normal(size=grey.shape) + rng.normal(0, 2, grey.shape)
    regions = {"pore": ((0, 12, 4, 40, 40, 60),), "solid": ((0, 12, 4, 40, 4, 24), (0, 12, 44, 60, 4, 24))}
    params = GmmParams(regions=regions, scales_voxels=(0.7,), gradient=True)
    labels = gmm(grey.astype(np.uint8), PHASES, params)
    assert ((labels == 0) == rough).mean() > 0.9


def test_a_region_without_spread_is_still_found():
    """A saturated box has no variance: quantisation gives it one, or nothing but the exact value would match."""
    rng = np.random.default_rng(3)
    grey = np.clip(rng.normal(60, 10, (4, 40, 40)), 0, 255)
    grey[:, :, 20:] = 250 + rng.integers(-1, 2, (4, 40, 20))
    grey[:, 2:8, 25:35] = 250
    regions = {"pore": ((0, 4, 0, 40, 0, 18),), "solid": ((0, 4, 2, 8, 25, 35),)}
    labels = gmm(grey.astype(np.uint8), PHASES, GmmParams(regions=regions))
    assert (labels[:, :, 20:] == 1).all() and (labels[:, :, :20] == 0).all()


def test_without_regions_the_darkest_component_is_the_darkest_phase(rng):
    truth = rng.integers(0, 3, (6, 48, 48))
    grey = (np.array([50, 200, 120])[truth] + rng.normal(0, 8, truth.shape)).clip(0, 255).astype(np.uint8)
    labels = gmm(grey, THREE, GmmParams(order=("pore", "cbd", "solid")))
    assert (labels == truth).mean() > 0.999


def test_the_same_seed_gives_the_same_labels(rng):
    grey = rng.integers(0, 255, (30, 70, 70)).astype(np.uint8)
    first, again, other = (learn(InMemory(grey), PHASES, GmmParams(samples=2000, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_features_are_blurs_and_the_gradient():
    ramp = 3.0 * np.arange(20, dtype=np.float32)[None, :, None] * np.ones((9, 1, 9), np.float32)
    values = Describer((0.0, 1.0), gradient=True)(ramp)
    np.testing.assert_array_equal(values[0], ramp)
    np.testing.assert_allclose(values[1, :, 5:-5], ramp[:, 5:-5], atol=1e-4)
    np.testing.assert_allclose(values[2, :, 6:-6], 3, atol=1e-3)


@pytest.mark.parametrize(
    ("regions", "text"),
    [
        ({"pores": ((0, 1, 0, 1, 0, 1),)}, "gmm.regions: no phase of the plan is called 'pores'. Did you mean 'pore'?"),
        ({"pore": ((0, 2, 0, 2, 0, 2),)}, "gmm.regions: phase 'solid' has no region, wanted at least one for each of"),
        (
            {"pore": ((0, 2, 0, 2, 0, 2),), "solid": ((0, 2, 5, 99, 0, 2),)},
            "gmm.regions.solid: got [0, 2, 5, 99, 0, 2], wanted [z0, z1, y0, y1, x0, x1]",
        ),
    ],
)
def test_regions_that_are_wrong_are_refused(regions, text):
    grey = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    with pytest.raises(BadInput) as error:
        gmm(grey, PHASES, GmmParams(regions=regions))
    assert text in str(error.value)


def test_one_grey_level_is_refused():
    with pytest.raises(BadInput, match="gmm: the sampled voxels have grey level 9 only, wanted at least two"):
        gmm(np.full((2, 4, 4), 9, np.uint8), PHASES, GmmParams())
