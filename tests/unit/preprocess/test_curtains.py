"""Curtain removal."""

import numpy as np
import pytest

from porelay_preprocess.destripe import curtain_score
from porelay_preprocess.methods.curtains import CurtainsParams, curtains


@pytest.fixture
def scene(rng):
    """Discs on a dark ground, and stripes along y with the same strength all the way."""
    y, x = np.indices((160, 128))
    clean = np.full((2, 160, 128), 60.0)
    for cy, cx, r in ((40, 30, 18), (110, 90, 22), (60, 95, 14), (130, 30, 12)):
        clean[:, (y - cy) ** 2 + (x - cx) ** 2 < r**2] = 170.0
    stripes = rng.normal(0, 6, (2, 1, 128)) * np.ones((1, 160, 1))
    return clean + rng.normal(0, 4, clean.shape), stripes


def removed(before, after):
    return before.astype(float) - after


def test_stripes_along_the_curtain_go(scene):
    clean, stripes = scene
    striped = (clean + stripes).astype(np.float32)
    left = removed(striped, curtains(striped, CurtainsParams())) - stripes
    assert np.sqrt(np.mean(left**2)) < 0.45 * stripes.std()


def test_stripes_across_the_curtain_stay(scene):
    clean, stripes = scene
    across = (clean + stripes.mean(axis=1)[:, :, None].repeat(128, axis=2)[:, :128][:, np.arange(160) % 128]).astype(
        np.float32
    )
    taken = removed(across, curtains(across, CurtainsParams()))
    assert np.sqrt(np.mean(taken**2)) < 0.3 * stripes.std()


def test_structure_is_not_streaked_as_the_plain_transform_does(scene):
    clean = scene[0].astype(np.float32)
    damage = {
        levels: np.sqrt(np.mean(removed(clean, curtains(clean, CurtainsParams(structure_levels=levels))) ** 2))
        for levels in (1, 2)
    }
    assert damage[2] < 0.25 * damage[1]


def test_the_mean_of_each_slice_is_kept(scene):
    striped = (scene[0] + scene[1]).astype(np.float32)
    for levels in (1, 3):
        clean = curtains(striped, CurtainsParams(structure_levels=levels))
        np.testing.assert_allclose(clean.mean(axis=(1, 2)), striped.mean(axis=(1, 2)), rtol=1e-5)


def test_a_constant_slice_stays_as_it_is():
    grey = np.full((2, 64, 50), 0.5, np.float32)
    np.testing.assert_allclose(curtains(grey, CurtainsParams(structure_levels=1)), grey, atol=1e-6)
    np.testing.assert_allclose(curtains(grey, CurtainsParams()), grey, atol=1e-6)


def test_curtains_along_x_are_those_along_y_turned(scene):
    striped = np.rint(scene[0] + scene[1]).clip(0, 255).astype(np.uint8)
    turned = curtains(striped.transpose(0, 2, 1), CurtainsParams(along="x"))
    np.testing.assert_array_equal(turned.transpose(0, 2, 1), curtains(striped, CurtainsParams()))


@pytest.mark.parametrize("shape", [(1, 5, 5), (1, 9, 200), (2, 33, 47), (1, 64, 8)])
def test_odd_and_small_slices_keep_their_shape(rng, shape):
    grey = rng.integers(0, 255, shape).astype(np.uint8)
    assert curtains(grey, CurtainsParams()).shape == shape


def test_the_score_rises_with_stripes_and_not_with_noise(rng):
    image = rng.normal(0, 1, (256, 256))
    stripes = rng.normal(0, 1, 256)
    assert abs(curtain_score(image)) < 0.2
    assert abs(curtain_score(image) - curtain_score(3 * image)) < 1e-9
    assert curtain_score(image + 0.3 * stripes) > 0.5
