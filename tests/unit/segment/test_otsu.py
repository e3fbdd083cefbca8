"""Multi-level Otsu."""

from itertools import combinations

import numpy as np
import pytest
from skimage.filters import threshold_multiotsu

from porelay_schemas.errors import BadInput
from porelay_schemas.frames import InMemory
from porelay_schemas.plan import Phase
from porelay_segment.histogram import counted
from porelay_segment.methods.otsu import OtsuParams, find_thresholds, otsu
from porelay_segment.thresholds import multi_otsu

PHASES = tuple(
    Phase(name=name, colour=colour)
    for name, colour in (("pore", "#000000"), ("cbd", "#888888"), ("active_material", "#ffffff"))
)


@pytest.fixture
def grey(rng):
    truth = rng.integers(0, 3, (6, 40, 50))
    return truth, np.rint(np.array([50, 110, 190])[truth] + rng.normal(0, 6, truth.shape)).astype(np.uint8)


def test_three_separate_levels_are_three_phases(grey):
    truth, values = grey
    np.testing.assert_array_equal(otsu(values, PHASES, OtsuParams()), truth)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_thresholds_are_those_of_an_exhaustive_search(rng, classes):
    values = np.clip(rng.normal(100, 45, (4, 40, 40)), 0, 255).astype(np.uint8)
    found = np.digitize(values, multi_otsu(counted(lambda: [values], "otsu"), classes))
    searched = np.digitize(values, threshold_multiotsu(values, classes), right=True)
    assert within(values, found) <= within(values, searched) * (1 + 1e-12)
    assert (found == searched).mean() > 0.97


def within(values, member):
    """Return the variance that is left within classes."""
    return sum(float(((values[member == k] - values[member == k].mean()) ** 2).sum()) for k in np.unique(member))


def test_thresholds_leave_the_least_variance_of_all_possible_ones(rng):
    values = rng.integers(0, 25, 300).astype(np.uint8)
    found = within(values, np.digitize(values, multi_otsu(counted(lambda: [values], "otsu"), 3)))
    least = min(within(values, np.digitize(values, [a + 0.5, b + 0.5])) for a, b in combinations(range(24), 2))
    assert found == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("convert", [lambda v: v.astype(np.uint16) * 200, lambda v: v.astype(np.float32) / 255])
def test_other_types_give_the_same_labels(grey, convert):
    truth, values = grey
    np.testing.assert_array_equal(otsu(convert(values), PHASES, OtsuParams()), truth)


def test_phases_may_be_named_from_dark_to_bright(grey):
    truth, values = grey
    labels = otsu(values, PHASES, OtsuParams(order=("cbd", "active_material", "pore")))
    np.testing.assert_array_equal(labels, np.array([1, 2, 0])[truth])


def test_smoothing_helps_against_noise(rng):
    truth = np.zeros((12, 40, 40), int)
    truth[:, :, 20:] = 1
    noisy = (80 + 60 * truth + rng.normal(0, 40, truth.shape)).clip(0, 255).astype(np.uint8)
    agree = [(otsu(noisy, PHASES[:2], OtsuParams(smooth_sigma_voxels=sigma)) == truth).mean() for sigma in (0, 1.5)]
    assert agree[0] < 0.85 and agree[1] > 0.97


def test_the_model_says_what_each_phase_looks_like_and_how_close_the_calls_are(grey):
    truth, values = grey
    model = find_thresholds(InMemory(values), PHASES, OtsuParams())
    assert [each.phase for each in model.classes] == ["pore", "cbd", "active_material"]
    for label, each in enumerate(model.classes):
        assert each.mean == pytest.approx(values[truth == label].mean())
        assert each.sigma == pytest.approx(values[truth == label].std())
        assert each.share == pytest.approx((truth == label).mean())
    assert model.ambiguous < 0.01
    assert model.by_grey_level


def test_one_grey_level_is_refused():
    with pytest.raises(BadInput) as error:
        otsu(np.full((2, 4, 4), 9, np.uint8), PHASES, OtsuParams())
    assert "otsu: every voxel has grey level 9, wanted at least two levels" in str(error.value)


def test_fewer_levels_than_phases_are_refused():
    values = np.array([[[10, 200]]], np.uint8)
    with pytest.raises(BadInput) as error:
        otsu(values, PHASES, OtsuParams())
    assert "otsu: the volume has 2 grey levels, wanted at least 3, one for each phase" in str(error.value)
    assert "use 'labels'" in str(error.value)


def test_an_order_that_is_not_one_is_refused():
    values = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    with pytest.raises(BadInput, match=r"otsu.order: no phase of the plan is called 'pores'. Did you mean 'pore'\?"):
        otsu(values, PHASES, OtsuParams(order=("pores", "cbd", "active_material")))
    with pytest.raises(BadInput, match="wanted each phase of the plan once, from dark to bright: pore, cbd, active"):
        otsu(values, PHASES, OtsuParams(order=("pore", "cbd")))


def test_values_that_are_not_finite_are_refused():
    values = np.random.default_rng(0).normal(size=(2, 5, 5)).astype(np.float32)
    values[1, 2, 3] = np.nan
    with pytest.raises(BadInput, match="otsu: the volume holds values that are not finite"):
        otsu(values, PHASES, OtsuParams())
