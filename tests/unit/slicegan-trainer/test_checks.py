"""What is refused, word for word, and what is warned of."""

import numpy as np
import pytest

from porelay_schemas.errors import BadInput
from porelay_slicegan_trainer.checks import images_of
from porelay_slicegan_trainer.documents import generated_voxel_um
from porelay_slicegan_trainer.survey import survey


def refused(data, phases, params):
    with pytest.raises(BadInput) as caught:
        images_of(data, phases, params)
    return str(caught.value)


def test_a_volume_smaller_than_the_patch_names_the_patch_that_fits(make_params):
    params = make_params(patch_edge=32)
    assert refused(np.zeros((20, 40, 40), np.uint8), 2, params) == (
        "training volume: it is smaller than the network's patch: slices across y are 20 x 40 voxels, wanted at least "
        "32 x 32 (patch_edge). Set patch_edge to 16; or set directions to [z], whose slices are large enough; "
        "or give a larger volume."
    )


def test_a_volume_smaller_than_any_patch_asks_for_fewer_widths(make_params):
    text = refused(np.zeros((5, 5, 5), np.uint8), 2, make_params())
    assert "Use fewer generator and critic widths (with these, a patch has at least 8 voxels)" in text


def test_one_phase_is_refused(make_params):
    text = refused(np.ones((20, 20, 20), np.uint8), 2, make_params())
    assert "only one phase is there, label 1. A generator of one phase has nothing to learn" in text


def test_a_missing_phase_is_refused(material, make_params):
    text = refused(material, 3, make_params())
    assert "3 phases are wanted, but no voxel has label 2. Take that phase out of the plan" in text


def test_values_that_are_no_phase_are_refused(material, make_params):
    assert "they hold [127], wanted 0 to 1 for 2 phases" in refused(material * 127, 2, make_params())


def test_many_values_are_taken_for_grey(make_params, rng):
    grey = rng.integers(0, 200, (20, 20, 20), dtype=np.uint8)
    text = refused(grey, 3, make_params())
    assert "200 different values and 3 phases, at most 8 can be learned" in text
    assert "JPEG" in text


def test_images_must_hold_the_same_phases(make_blobs, make_params):
    images = {"z": make_blobs((20, 20), scale=2.0), "y": np.zeros((20, 20), np.uint8)}
    assert "training labels across y: only one phase" in refused(images, 2, make_params())


def test_anisotropic_training_wants_images_across_all_axes(make_blobs, make_params):
    text = refused({"z": make_blobs((20, 20), scale=2.0)}, 2, make_params(mode="anisotropic"))
    assert "got images across ['z'], anisotropic training wants all of z, y and x" in text


def test_constant_or_broken_grey_is_refused(make_params):
    assert "run from 3 to 3, wanted at least two" in refused(np.full((20, 20, 20), 3.0), None, make_params())
    broken = np.random.default_rng(0).random((20, 20, 20))
    broken[0, 0, 0] = np.nan
    assert "1 of 8000 values are NaN or infinite" in refused(broken, None, make_params())


def verdicts(volume, phases, params):
    classes = images_of(volume, phases, params).classes()
    return {check.name: check for check in survey(classes, params)}


def test_a_fitting_material_passes_every_check(make_blobs, make_params):
    found = verdicts(make_blobs((64, 64, 64), scale=1.0, phases=3), 3, make_params())
    assert {check.verdict for check in found.values()} == {"ok"}, found


def test_a_graded_material_is_warned_of(make_blobs, make_params):
    volume = make_blobs((64, 64, 64), scale=1.0)
    ramp = np.random.default_rng(1).random(volume.shape) < np.linspace(0, 0.6, 64)[:, None, None]
    found = verdicts(np.where(ramp, 1, volume).astype(np.uint8), 2, make_params())
    assert found["stationarity"].verdict == "warn"
    assert "slabs along z" in found["stationarity"].meaning


def test_a_stretched_material_is_warned_of_unless_training_is_anisotropic(make_params):
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((48, 48, 48)), (1, 1, 2.5), mode="wrap")
    volume = (field > 0).astype(np.uint8)
    found = verdicts(volume, 2, make_params())
    assert found["isotropy"].verdict == "warn"
    assert 1.7 < found["isotropy"].value < 3.3
    assert "isotropy" not in verdicts(volume, 2, make_params(mode="anisotropic"))


def test_features_too_long_for_the_patch_are_warned_of(make_blobs, make_params):
    found = verdicts(make_blobs((64, 64, 64), scale=5.0), 2, make_params())
    assert found["correlation length"].verdict == "warn"
    assert "Resample by about" in found["correlation length"].meaning


def test_isotropic_training_wants_cubic_voxels_and_says_how_to_go_on(make_params):
    assert generated_voxel_um((0.05, 0.05, 0.05), make_params()) == (0.05, 0.05, 0.05)
    assert generated_voxel_um((0.2, 0.05, 0.05), make_params(directions=("z",))) == (0.05, 0.05, 0.05)
    assert generated_voxel_um((0.2, 0.1, 0.05), make_params(mode="anisotropic")) == (0.2, 0.1, 0.05)
    with pytest.raises(BadInput, match=r"wants cubes. Resample to cubic voxels in preprocess, set directions to \[z\]"):
        generated_voxel_um((0.2, 0.05, 0.05), make_params())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"patch_edge": 20}, "multiples of 8"),
        ({"critic_widths": (8, 8, 8, 8)}, "4 halvings do not divide"),
        ({"mode": "anisotropic", "directions": ("z", "y")}, "needs z, y and x"),
        ({"directions": ("z", "z")}, "name each axis once"),
        ({"slices": 33}, "have only 32 slices a direction"),
        ({"penalty_slices": 5}, "at most as many as slices"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(make_params, changes, text):
    with pytest.raises(ValueError, match=text):
        make_params(**changes)
