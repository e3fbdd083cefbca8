"""Median, Gaussian, bilateral and non-local means, against what they are by definition."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from porelay_preprocess.methods.bilateral import BilateralParams, averaged, bilateral
from porelay_preprocess.methods.gaussian import GaussianParams, gaussian
from porelay_preprocess.methods.median import MedianParams, median
from porelay_preprocess.methods.nl_means import NlMeansParams, nl_means
from porelay_preprocess.methods.nl_means import averaged as patch_averaged
from porelay_preprocess.noise import Noise, noise_of
from porelay_schemas.frames import InMemory


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("size", "neighbourhood"), [(3, "volume"), (5, "slice")])
def test_median_is_the_middle_of_the_sorted_window(rng, dtype, size, neighbourhood):
    grey = rng.integers(0, 256, (6, 9, 11)).astype(dtype)
    params = MedianParams(size=size, neighbourhood=neighbourhood)
    expected = ndimage.median_filter(grey, size=params.window, mode="reflect")
    result = median(grey, params)
    assert result.dtype == grey.dtype
    np.testing.assert_array_equal(result, expected)


def test_an_even_window_is_refused_with_the_sizes_that_would_do():
    with pytest.raises(ValidationError, match="no middle voxel; take 3 or 5"):
        MedianParams(size=4)


def test_gaussian_spreads_an_impulse_as_its_formula_says():
    grey = np.zeros((21, 21, 21), np.float32)
    grey[10, 10, 10] = 1
    result = gaussian(grey, GaussianParams(sigma_voxels=1.5))
    x = np.arange(21) - 10.0
    bell = np.exp(-(x**2) / (2 * 1.5**2)) * (np.abs(x) <= 6)
    bell /= bell.sum()
    np.testing.assert_allclose(result, bell[:, None, None] * bell[:, None] * bell, atol=1e-7)


def test_gaussian_rounds_to_the_type_it_was_given():
    grey = np.full((3, 8, 8), 7, np.uint8)
    np.testing.assert_array_equal(gaussian(grey, GaussianParams()), grey)


def test_bilateral_is_the_weighted_mean_of_its_definition(rng):
    grey = rng.normal(100, 20, (5, 9, 9)).astype(np.float32)
    params = BilateralParams(radius=2, sigma_voxels=1.2, sigma_noise=1.0, neighbourhood="volume")
    result = averaged(grey, Noise(sigma=15.0), 0, params)
    wide = np.pad(grey, 2, mode="symmetric").astype(float)
    window = wide[1:6, 2:7, 3:8]
    z, y, x = np.indices((5, 5, 5)) - 2
    near = np.exp(-(z**2 + y**2 + x**2) / (2 * 1.2**2)) * (z**2 + y**2 + x**2 <= 2.5**2)
    weights = near * np.exp(-((window - grey[1, 2, 3]) ** 2) / (2 * 15.0**2))
    assert result[1, 2, 3] == pytest.approx((weights * window).sum() / weights.sum(), abs=0.05)


def test_bilateral_keeps_an_edge_that_a_gaussian_blurs(rng):
    clean = np.where(np.arange(40) < 20, 60.0, 160.0) * np.ones((4, 40, 1))
    noisy = clean + rng.normal(0, 8, clean.shape)
    result = bilateral(np.rint(noisy).astype(np.uint8), BilateralParams()).astype(float)
    flat = np.s_[:, :, 4:16]
    assert (result - clean)[flat].std() < 0.5 * (noisy - clean)[flat].std()
    beside_the_edge = result[:, :, 18:22].mean(axis=(0, 1))
    np.testing.assert_allclose(beside_the_edge, [60, 60, 160, 160], atol=4)


def test_without_noise_nothing_is_averaged():
    grey = np.full((2, 8, 8), 50, np.uint8)
    for filtered in (bilateral(grey, BilateralParams()), nl_means(grey, NlMeansParams())):
        np.testing.assert_array_equal(filtered, grey)


def test_non_local_means_is_the_patch_weighted_mean_of_its_definition(rng):
    grey = rng.normal(100, 20, (7, 9, 9)).astype(np.float32)
    params = NlMeansParams(strength=1.5, patch_radius=1, search_radius=2)
    result = patch_averaged(grey, Noise(sigma=20.0), 0, params)
    wide = np.pad(grey, 3, mode="symmetric").astype(float)
    centre = np.array([3, 4, 5]) + 3
    total = weight = 0.0
    for step in np.ndindex(5, 5, 5):
        there = centre + np.array(step) - 2
        patches = [wide[tuple(slice(c - 1, c + 2) for c in at)] for at in (centre, there)]
        distance = np.mean((patches[0] - patches[1]) ** 2)
        w = np.exp(-max(distance - 2 * 20.0**2, 0) / (1.5 * 20.0) ** 2)
        total, weight = total + w * wide[tuple(there)], weight + w
    assert result[3, 4, 5] == pytest.approx(total / weight, abs=0.1)


@pytest.mark.parametrize("filtered", [(bilateral, BilateralParams()), (nl_means, NlMeansParams())])
def test_strength_follows_the_data_whatever_its_range(rng, filtered):
    function, params = filtered
    grey = rng.normal(100, 10, (5, 24, 24)).astype(np.float32)
    np.testing.assert_allclose(function(grey / 1000, params) * 1000, function(grey, params), atol=0.2)


def test_noise_is_measured_in_grey_levels(rng):
    grey = np.rint(rng.normal(128, 9, (6, 64, 64))).astype(np.uint8)
    assert noise_of(InMemory(grey)).sigma == pytest.approx(9, rel=0.05)
