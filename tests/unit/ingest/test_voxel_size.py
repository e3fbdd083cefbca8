import pytest

from porelay_ingest.voxel_size import voxel_size
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import StackFacts


def facts(voxel_um, depth=10, notes=()):
    return StackFacts(
        "TIFF", (depth, 8, 8), "uint8", voxel_um, "OME PhysicalSize" if any(voxel_um) else "", notes=notes
    )


def test_the_files_size_is_taken():
    assert voxel_size(facts((0.2, 0.1, 0.1)), None, "a.tif") == ((0.2, 0.1, 0.1), "OME PhysicalSize")


def test_the_users_size_is_taken_where_the_file_is_silent():
    assert voxel_size(facts((None, None, None)), (0.2, 0.1, 0.1), "a.tif") == ((0.2, 0.1, 0.1), "--voxel-um")


def test_what_the_user_adds_may_differ_by_rounding():
    found, source = voxel_size(facts((None, 0.0999, 0.1001)), (0.2, 0.1, 0.1), "a.tif")
    assert (found, source) == ((0.2, 0.1, 0.1), "--voxel-um; OME PhysicalSize agrees")


def test_conflicting_sizes_are_both_shown():
    with pytest.raises(BadInput) as error:
        voxel_size(facts((None, 0.1, 0.1)), (0.05, 0.05, 0.05), "a.tif")
    assert str(error.value) == (
        "a.tif: conflicting voxel sizes (z, y, x): the file says unknown, 0.1, 0.1 µm (OME PhysicalSize), --voxel-um "
        "or the plan says 0.05, 0.05, 0.05 µm; they differ along y. Leave --voxel-um out to take the file's, or "
        "correct the file (in Fiji: Image > Properties)."
    )


def test_no_size_at_all_says_how_to_give_it():
    with pytest.raises(BadInput) as error:
        voxel_size(
            facts((None, None, None), notes=("The resolution tag says 72 dpi: a print size, no voxel size.",)),
            None,
            "a.tif",
        )
    assert str(error.value) == (
        "a.tif: no voxel size in the file, wanted all three edge lengths of a voxel in micrometres. The resolution tag "
        "says 72 dpi: a print size, no voxel size. Give --voxel-um 0.05 for a cube, or --voxel-um 0.1,0.05,0.05 "
        "(z,y,x); for what lies in the inbox, `voxel_um` in the plan beside it."
    )


def test_a_missing_size_along_z_is_asked_for_with_what_is_known():
    with pytest.raises(
        BadInput, match=r"size \(z, y, x\) is unknown, 0.02, 0.02 µm .* --voxel-um 0.1,0.02,0.02 \(z,y,x\)"
    ):
        voxel_size(facts((None, 0.02, 0.02)), None, "a.tif")


def test_the_thickness_of_a_single_image_is_its_pixel():
    assert voxel_size(facts((None, 0.02, 0.03), depth=1), None, "a.tif")[0] == (0.02, 0.02, 0.03)
