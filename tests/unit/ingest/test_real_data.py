"""Real stacks, looked at where the shared data folder is."""

import json

import numpy as np
import pytest
import tifffile

from porelay_schemas.errors import BadInput

LABELS = {
    "aligned_ellipsoids_labels.tif": ((200, 200, 200), [0, 1]),
    "cathode_sem_2d_labels.tif": ((1, 427, 427), [0, 1, 2]),
    "graded_bilayer_labels.tif": ((240, 240, 240), [0, 1, 2]),
    "lco_fibsem_truth.tif": ((12, 750, 600), [0, 1]),
    "micrograph_2d_truth.tif": ((1, 512, 512), [85, 170, 255]),
    "nmc_cathode_labels.tif": ((251, 301, 301), [0, 1, 2]),
    "porous_1bit_labels.tif": ((100, 100, 100), [0, 1]),
    "separator_3d_labels.tif": ((156, 75, 75), [0, 1]),
    "separator_rods_2d_labels.tif": ((32, 300, 300), [0, 1]),
    "separator_speckles_2d_labels.tif": ((6, 300, 300), [0, 1]),
    "sofc_anode_2d_labels.tif": ((1, 1024, 1024), [0, 1, 2]),
    "sofc_anode_3d_labels.tif": ((62, 62, 62), [0, 1, 2]),
    "sofc_like_3d_labels.tiff": ((100, 100, 100), [0, 127, 254]),
}


@pytest.mark.parametrize("name", LABELS)
def test_label_stacks_are_read_to_the_voxel(ingest, real, name):
    path = real(name)
    result, bench = ingest(path, stack_kind="labels", voxel_um=(1, 1, 1))
    shape, values = LABELS[name]
    assert result.volume.shape == shape
    assert json.loads(bench.path("qc.json").read_text())["values"] == values
    np.testing.assert_array_equal(bench.volume(result.volume)[:], tifffile.imread(path).reshape(shape).astype(np.uint8))
    assert result.verdict == "ok"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nmc_cathode_labels.tif", "says 72 dpi: a print size"),
        ("fiberform_ct_grey.tif", "unit is 'inch': a print size"),
    ],
)
def test_print_sizes_are_not_taken_for_voxels(ingest, real, name, said):
    with pytest.raises(BadInput, match=f"no voxel size in the file.*{said}.*Give --voxel-um"):
        ingest(real(name))


def test_the_fib_sem_stack_of_a_cathode_is_judged_as_an_eye_does(ingest, real):
    """Its slices lie up to 22 pixels beside each other and have curtains; nothing is saturated or lost."""
    result, bench = ingest(real("lco_fibsem_grey.tif"), truth=real("lco_fibsem_truth.tif"), voxel_um=(0.2, 0.02, 0.02))
    record = json.loads(bench.path("qc.json").read_text())
    verdicts = {check["check"]: check["verdict"] for check in record["checks"]}
    assert verdicts == {
        "grey_levels": "fail", "alignment": "fail", "curtaining": "warn", "intensity_drift": "ok",
        "slices": "ok", "saturation": "ok",
    }  # fmt: skip
    assert result.verdict == "fail"
    assert bench.volume(result.truth)[:].mean() == pytest.approx(0.624, abs=0.001)
