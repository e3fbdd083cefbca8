"""Volume fractions and two-point correlations with known answers."""

import numpy as np
import pytest

from porelay_slicegan_trainer.data import Images, cut
from porelay_slicegan_trainer.descriptors import describe, noise_floor, of_volumes, s2_error, tolerance


def images(volume, phases=2, directions="zyx"):
    return Images(cut(np.asarray(volume, np.uint8), directions), "labels", phases)


def test_s2_of_a_drawn_volume_counts_pairs_along_each_axis_and_never_across_a_border():
    volume = np.zeros((2, 2, 4), np.uint8)
    volume[:, :, 0] = volume[:, :, 3] = 1
    found = describe(images(volume), 3)
    assert found.fractions.tolist() == [0.5, 0.5]
    along_x = found.s2[2, 1]
    assert along_x.tolist() == [0.5, 0, 0, 1]
    along_z = found.s2[0, 1]
    assert along_z[:2].tolist() == [0.5, 0.5]
    assert np.isnan(along_z[2:]).all()


def test_s2_of_stripes_alternates():
    volume = np.indices((8, 8, 8))[1] % 2
    found = describe(images(volume), 2)
    assert found.s2[1, 0].tolist() == pytest.approx([0.5, 0, 0.5])
    assert found.s2[2, 0].tolist() == pytest.approx([0.5, 0.5, 0.5])


def test_s2_of_noise_is_the_squared_fraction(rng):
    found = describe(images(rng.random((64, 64, 64)) < 0.3), 8)
    assert found.fractions == pytest.approx([0.7, 0.3], abs=0.005)
    assert found.s2[:, 1, 1:] == pytest.approx(0.09, abs=0.004)
    assert noise_floor(found) < 0.002


def test_one_stack_knows_two_axes_and_the_isotropic_mean_fills_the_third(rng):
    found = describe(images(rng.random((1, 40, 40)) < 0.5, directions="z"), 4)
    assert np.isnan(found.s2[0]).all()
    assert not np.isnan(found.isotropic().s2).any()


def test_generated_volumes_are_measured_as_training_data_are(material):
    real = describe(images(material), 6)
    assert s2_error(real, of_volumes(material[None], 2, 6)) < 1e-12


def test_the_tolerance_is_the_standard_error_of_the_data(make_blobs):
    volumes = [make_blobs((32, 32, 32), scale=2.0, seed=seed)[:24, :24, :24] for seed in range(24)]
    claimed = np.mean([tolerance(images(volume), 8, isotropic=True).fraction for volume in volumes[:8]])
    spread = np.std([volume.mean() for volume in volumes])
    assert 0.4 * spread < claimed < 2 * spread
