"""Normalisation and flicker: known numbers in, known numbers out."""

import numpy as np
import pytest
from pydantic import ValidationError

from porelay_preprocess.methods.intensity import IntensityParams, find_flicker, intensity, tell
from porelay_preprocess.methods.min_max import MinMaxParams, min_max
from porelay_preprocess.methods.percentile import PercentileParams, percentile
from porelay_preprocess.methods.z_score import ZScoreParams, z_score
from porelay_schemas.errors import BadInput
from porelay_schemas.frames import InMemory

RAMP = np.arange(240, dtype=np.uint8).reshape(2, 10, 12)


def test_min_max_maps_the_extremes_to_zero_and_one():
    result = min_max(RAMP, MinMaxParams())
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.ravel(), np.arange(240) / 239, rtol=1e-6)


def test_z_score_has_mean_zero_and_deviation_one():
    for grey in (RAMP, RAMP.astype(np.float32) + 1e5):
        result = z_score(grey, ZScoreParams()).astype(float)
        assert result.mean() == pytest.approx(0, abs=1e-3)
        assert result.std() == pytest.approx(1, rel=1e-3)


def test_percentiles_ignore_a_hot_pixel():
    grey = np.tile(RAMP, (10, 1, 1)).astype(np.float32)
    grey[0, 0, 0] = 1e6
    result = percentile(grey, PercentileParams(low=1, high=99))
    assert np.ptp(result[1:]) == pytest.approx(1, abs=0.02)
    assert result[0, 0, 0] == 1


def test_percentiles_are_those_of_numpy():
    grey = np.random.default_rng(1).normal(size=(4, 40, 40)).astype(np.float32)
    low, high = np.percentile(grey, [5, 90])
    expected = np.clip((grey - low) / (high - low), 0, 1)
    np.testing.assert_allclose(percentile(grey, PercentileParams(low=5, high=90)), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("function", "params"),
    [
        (min_max, MinMaxParams()), (z_score, ZScoreParams()),
        (percentile, PercentileParams()), (intensity, IntensityParams()),
    ],
)  # fmt: skip
def test_a_single_grey_level_is_bad_input_not_nan(function, params):
    with pytest.raises(BadInput) as error:
        function(np.full((3, 4, 5), 17, np.uint8), params)
    assert f"{function.__name__}: every voxel has grey level 17, wanted at least two levels" in str(error.value)
    assert str(error.value).endswith("it may be empty or saturated.")


def test_values_that_are_not_finite_are_named_by_their_slice():
    grey = np.random.default_rng(0).normal(size=(4, 6, 6)).astype(np.float32)
    grey[2, 1, 1] = np.nan
    with pytest.raises(BadInput, match="slice 2: holds values that are not finite"):
        min_max(grey, MinMaxParams())


def test_percentiles_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match=r"low \(90\) must lie below high \(10\)"):
        PercentileParams(low=90, high=10)


def test_flicker_is_undone_to_a_grey_level(rng):
    steady = rng.normal(120, 30, (21, 64, 64))
    gain, offset = 1 + rng.normal(0, 0.06, 21), rng.normal(0, 4, 21)
    flickering = steady * gain[:, None, None] + offset[:, None, None]
    evened = intensity(flickering.astype(np.float32), IntensityParams(window_slices=0)).astype(float)
    assert flickering.mean(axis=(1, 2)).std() > 5
    assert evened.mean(axis=(1, 2)).std() < 0.5
    assert evened.std(axis=(1, 2)).std() < 0.5


def test_a_slow_trend_stays_unless_all_slices_are_compared(rng):
    trend = rng.normal(100, 20, (60, 48, 48)) + np.linspace(0, 30, 60)[:, None, None]
    kept = intensity(trend.astype(np.float32), IntensityParams(window_slices=11)).mean(axis=(1, 2))
    gone = intensity(trend.astype(np.float32), IntensityParams(window_slices=0)).mean(axis=(1, 2))
    assert np.ptp(kept) > 20
    assert np.ptp(gone) < 2


def test_the_report_hears_the_means_before_and_after(rng):
    grey = (rng.normal(100, 20, (9, 32, 32)) + np.array([0, 9, -9] * 3)[:, None, None]).clip(0, 255).astype(np.uint8)
    params = IntensityParams(window_slices=0)
    model = find_flicker(InMemory(grey), params)
    facts = tell(InMemory(grey), InMemory(grey), model, params)
    assert facts.numbers["flicker before, grey levels"] > 5 * facts.numbers["flicker after, grey levels"]
    before, after = facts.series[0].curves["before"][1], facts.series[0].curves["after"][1]
    np.testing.assert_allclose(before, grey.mean(axis=(1, 2)))
    np.testing.assert_allclose(after, intensity(grey, params).mean(axis=(1, 2)), atol=0.6)
