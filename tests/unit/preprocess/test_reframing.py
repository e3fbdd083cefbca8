"""Crop, pad and resample: where each voxel goes, and what the voxel size becomes."""

import numpy as np
import pytest

from porelay_preprocess.methods.crop import CropParams, crop
from porelay_preprocess.methods.pad import PadParams, pad
from porelay_preprocess.methods.resample import ResampleParams, frame, resample
from porelay_schemas.errors import BadInput
from porelay_schemas.filters import Place, filter_of
from porelay_schemas.frames import Frame, full_box

GREY = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)


def test_crop_keeps_the_box_and_whole_axes_left_out():
    np.testing.assert_array_equal(crop(GREY, CropParams(z=(1, 3), x=(0, 4))), GREY[1:3, :, :4])


def test_a_box_outside_the_volume_is_refused_with_its_size():
    with pytest.raises(BadInput) as error:
        crop(GREY, CropParams(y=(2, 9)))
    assert "crop.y: got [2, 9], wanted 0 <= first < end <= 5" in str(error.value)
    assert "leave y out to keep all of it" in str(error.value)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("mirror", "symmetric"), ("edge", "edge"), ("constant", "constant")])
def test_pad_is_that_of_numpy(mode, numpy_mode):
    result = pad(GREY, PadParams(before=(1, 2, 9), after=(0, 7, 3), mode=mode))
    np.testing.assert_array_equal(result, np.pad(GREY, [(1, 0), (2, 7), (9, 3)], mode=numpy_mode))


def test_padded_labels_take_the_label_asked_for():
    declared, params = filter_of(pad), PadParams(before=(1, 0, 0), mode="constant", grey=200, label=3)
    source = Frame((4, 5, 6), (1, 1, 1), "uint8")
    place = Place(full_box((4, 5, 6)), full_box((5, 5, 6)), source)
    result = declared.labels(np.ones((4, 5, 6), np.uint8), place, None, params)
    assert (result[0] == 3).all() and (result[1:] == 1).all()


def test_resample_makes_cubes_of_the_finest_edge():
    source = Frame((10, 40, 40), (0.04, 0.01, 0.01), "uint8")
    assert frame(source, None, ResampleParams()) == Frame((40, 40, 40), (0.01, 0.01, 0.01), "uint8")
    assert frame(source, None, ResampleParams(cube="coarsest")).shape == (10, 10, 10)
    assert frame(source, None, ResampleParams(voxel_um=0.02)).shape == (20, 20, 20)


def test_resample_interpolates_a_ramp_exactly():
    ramp = np.arange(8, dtype=np.float32)[:, None, None] * np.ones((1, 3, 3), np.float32)
    result = resample(ramp, (2.0, 1.0, 1.0), ResampleParams())
    np.testing.assert_allclose(result[:, 1, 1], np.clip((np.arange(16) + 0.5) / 2 - 0.5, 0, 7), atol=1e-6)


def test_growing_voxels_average_instead_of_skipping(rng):
    grey = rng.normal(100, 10, (8, 64, 64)).astype(np.float32)
    result = resample(grey, (1.0, 1.0, 1.0), ResampleParams(voxel_um=(1.0, 4.0, 4.0)))
    assert result.shape == (8, 16, 16)
    assert result.std() < 0.3 * grey.std()
    assert result.mean() == pytest.approx(grey.mean(), rel=0.01)
    stripes = np.tile(np.array([0, 255], np.uint8), (2, 8, 16))
    assert np.ptp(resample(stripes, (1.0, 1.0, 1.0), ResampleParams(voxel_um=(1.0, 1.0, 2.0)))[:, :, 1:-1]) == 0


def test_cubic_voxels_stay_as_they_are_to_the_last_bit():
    params = ResampleParams()
    np.testing.assert_array_equal(resample(GREY, (0.05, 0.05, 0.05000000001), params), GREY)


def test_resampled_labels_are_never_new_values():
    labels = np.repeat(np.array([[[0, 2], [7, 0]]], np.uint8), 2, axis=0)
    declared, params = filter_of(resample), ResampleParams(voxel_um=0.3)
    source = Frame((2, 2, 2), (1.0, 1.0, 1.0), "uint8")
    box = full_box(declared.frame(source, None, params).shape)
    result = declared.labels(labels, Place(full_box((2, 2, 2)), box, source), None, params)
    assert result.shape == (7, 7, 7)
    assert set(np.unique(result)) == {0, 2, 7}


def test_too_many_voxels_are_refused_with_their_number():
    with pytest.raises(BadInput) as error:
        resample(GREY, (1.0, 1.0, 1.0), ResampleParams(voxel_um=0.0001))
    assert "make 40000 x 50000 x 60000 = 1.2e+14 voxels, wanted at most most_voxels = 8e+09" in str(error.value)
    assert "Give a larger voxel_um, crop first, or raise most_voxels." in str(error.value)


def test_voxels_larger_than_the_volume_are_refused():
    with pytest.raises(BadInput, match="leave none along an axis of the volume, which is 4 x 5 x 6 um large"):
        resample(GREY, (1.0, 1.0, 1.0), ResampleParams(voxel_um=20.0))
