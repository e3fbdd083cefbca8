"""Slice alignment: a known path is found and undone."""

import numpy as np
import pytest
from scipy import ndimage

from porelay_preprocess.methods.align import AlignParams, Path, align, find_path, frame, left_in
from porelay_schemas.errors import BadInput
from porelay_schemas.filters import Place, filter_of, whole
from porelay_schemas.frames import Frame, InMemory, full_box

SHIFTS = np.array([[0, 0], [1.5, -0.5], [2.25, -2.4], [0.5, -1.0], [-1.75, 0.25], [-0.5, 1.7]])


@pytest.fixture(scope="module")
def drifted():
    """Six views of one texture, moved by SHIFTS; the texture itself does not change along z."""
    texture = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(140, 150)), 2) * 400 + 120
    slices = [ndimage.shift(texture, at, order=5)[20:-20, 20:-20] for at in SHIFTS]
    return np.stack(slices).astype(np.float32)


def test_the_path_is_found_to_a_twentieth_of_a_pixel(drifted):
    path = find_path(InMemory(drifted), AlignParams())
    np.testing.assert_allclose(path.measured, SHIFTS, atol=0.05)
    assert min(path.correlation) > 0.99


def test_aligned_slices_agree(drifted):
    aligned = align(drifted, AlignParams())
    assert aligned.shape == (6, 100 - 2 - 3, 110 - 3 - 2)
    core = aligned[:, 4:-4, 4:-4].astype(float)
    assert np.abs(core - core[0]).mean() < 0.02 * core.std()


def test_noise_and_flicker_do_not_fool_it(drifted, rng):
    gain = np.array([1, 0.9, 1.1, 1, 0.95, 1.05])[:, None, None]
    noisy = (drifted * gain + rng.normal(0, 8, drifted.shape)).clip(0, 255).astype(np.uint8)
    path = find_path(InMemory(noisy), AlignParams())
    np.testing.assert_allclose(path.measured, SHIFTS, atol=0.15)


def test_labels_move_with_the_grey_levels_but_are_not_mixed(drifted):
    model = find_path(InMemory(drifted), AlignParams())
    labels = (drifted > np.median(drifted)).astype(np.uint8) * 7
    declared = filter_of(align)
    source = Frame(labels.shape, (1, 1, 1), "uint8")
    result = declared.frame(source, model, AlignParams())
    box = full_box(result.shape)
    needed = declared.needs(box, source, model, AlignParams())
    moved = declared.labels(labels[needed], Place(needed, box, source), model, AlignParams())
    assert set(np.unique(moved)) == {0, 7}
    grey = align(drifted, AlignParams())
    assert ((grey > np.median(drifted)) == (moved == 7)).mean() > 0.93


def test_constant_drift_can_be_left_in():
    z = np.arange(8.0)
    line = np.stack([2 * z, -z], axis=1)
    params = AlignParams(leave="constant_drift")
    jitter = np.array([0.5, -0.5] * 4)[:, None]
    corrected = line + jitter - left_in(line + jitter, params)
    assert np.abs(corrected).max() < 0.7
    np.testing.assert_allclose(line - left_in(line, params), 0, atol=1e-9)
    np.testing.assert_array_equal(left_in(line, AlignParams()), 0)


def test_a_running_mean_can_be_left_in():
    z = np.arange(60.0)
    slow = np.stack([5 * np.sin(z / 15), z / 10], axis=1)
    slow[30] += 2
    corrected = slow - left_in(slow, AlignParams(leave="running_mean", window_slices=9))
    assert corrected[30, 0] == pytest.approx(2 * 8 / 9, abs=0.2)
    assert np.abs(np.delete(corrected, 30, axis=0)[6:-6]).max() < 0.5


def test_full_size_can_be_kept(drifted):
    assert align(drifted, AlignParams(edges="repeat")).shape == drifted.shape


def test_a_stack_of_one_slice_and_one_without_contrast_stay_as_they_are():
    one = np.random.default_rng(0).integers(0, 255, (1, 40, 50)).astype(np.uint8)
    np.testing.assert_array_equal(align(one, AlignParams()), one)
    flat = np.full((4, 40, 50), 9, np.uint8)
    np.testing.assert_array_equal(align(flat, AlignParams()), flat)


def test_noise_alone_is_not_taken_for_drift(rng):
    noise = rng.integers(0, 255, (5, 128, 128)).astype(np.uint8)
    np.testing.assert_array_equal(align(noise, AlignParams()), noise)


def test_drift_that_leaves_nothing_in_common_is_refused_with_a_way_out():
    path = Path(measured=((0.0, 0.0), (80.0, 0.0)), corrected=((0.0, 0.0), (80.0, 0.0)), correlation=(0.9,))
    with pytest.raises(BadInput) as error:
        frame(Frame((2, 100, 100), (1, 1, 1), "uint8"), path, AlignParams())
    assert "drift over 80 x 0 of 100 x 100" in str(error.value)
    assert "align.edges = 'repeat'" in str(error.value)


def test_aligning_in_a_notebook_is_one_call(drifted):
    np.testing.assert_array_equal(align(drifted, AlignParams()), whole(align, drifted, AlignParams()))
