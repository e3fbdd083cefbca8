import numpy as np
import pytest
import tifffile

STACK = np.zeros((3, 8, 8), np.uint8)


def facts(opened, path, data=STACK, **how):
    tifffile.imwrite(path / "a.tif", data, **how)
    return opened(path / "a.tif").facts


@pytest.mark.parametrize(
    ("unit", "length"), [("um", 1.0), ("micron", 1.0), ("\\u00B5m", 1.0), ("nm", 1e-3), ("mm", 1e3)]
)
def test_imagej_spacing_and_unit_are_the_voxel_size(tmp_path, opened, unit, length):
    meta = {"axes": "ZYX", "spacing": 0.2, "unit": unit}
    found = facts(opened, tmp_path, imagej=True, resolution=(1 / 0.05, 1 / 0.1), metadata=meta)
    assert found.voxel_um == pytest.approx((0.2 * length, 0.1 * length, 0.05 * length))
    assert found.voxel_from == "ImageJ spacing and unit"


def test_imagej_without_spacing_knows_y_and_x_only(tmp_path, opened):
    found = facts(opened, tmp_path, imagej=True, resolution=(20, 20), metadata={"axes": "ZYX", "unit": "um"})
    assert found.voxel_um == (None, pytest.approx(0.05), pytest.approx(0.05))


@pytest.mark.parametrize("unit", ["inch", "pixel", ""])
def test_imagej_units_that_are_no_length_are_left_out(tmp_path, opened, unit):
    meta = {"axes": "ZYX", "spacing": 2.0, "unit": unit}
    found = facts(opened, tmp_path, imagej=True, resolution=(100, 100), metadata=meta)
    assert found.voxel_um == (None, None, None)
    assert ("print size" in " ".join(found.notes)) == (unit == "inch")


def test_ome_physical_sizes_are_the_voxel_size(tmp_path, opened):
    meta = {"axes": "ZYX", "PhysicalSizeX": 5, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.006, "PhysicalSizeZ": 0.02}
    found = facts(opened, tmp_path, ome=True, metadata=meta)
    assert found.voxel_um == pytest.approx((0.02, 0.006, 0.005))
    assert found.voxel_from == "OME PhysicalSize"


@pytest.mark.parametrize(("resolution", "unit"), [(72, 2), (96, 2), (300, 2), (28.35, 3), (1, 2), (118.11, 3), (1, 3)])
def test_a_resolution_for_printing_is_no_voxel_size(tmp_path, opened, resolution, unit):
    found = facts(opened, tmp_path, metadata=None, resolution=(resolution, resolution), resolutionunit=unit)
    assert found.voxel_um == (None, None, None)
    assert found.notes


def test_a_resolution_in_centimetres_is_the_size_along_y_and_x(tmp_path, opened):
    found = facts(opened, tmp_path, metadata=None, resolution=(10_000 / 1.3, 10_000 / 1.5), resolutionunit=3)
    assert found.voxel_um == (None, pytest.approx(1.5), pytest.approx(1.3))
    assert found.voxel_from == "resolution tag"


def test_a_resolution_without_unit_is_no_voxel_size(tmp_path, opened):
    assert facts(opened, tmp_path, resolution=(20_000, 20_000), resolutionunit=1).voxel_um == (None, None, None)


def test_a_voxel_that_no_microscope_has_is_not_believed(tmp_path, opened):
    meta = {"axes": "ZYX", "PhysicalSizeX": 5e9, "PhysicalSizeY": 5e9, "PhysicalSizeZ": 5e9}
    found = facts(opened, tmp_path, ome=True, metadata=meta)
    assert found.voxel_um == (None, None, None)
    assert found.notes == ("OME PhysicalSize tells of a voxel of 5e+09 µm: not believed.",)


def test_thermofisher_tags_give_y_and_x(tmp_path, opened):
    text = "[Scan]\r\nPixelWidth=4e-009\r\nPixelHeight=5e-009\r\n"
    found = facts(opened, tmp_path, metadata=None, extratags=[(34682, "s", 0, text, True)])
    assert found.voxel_um == (None, pytest.approx(0.005), pytest.approx(0.004))


def test_zeiss_tags_give_y_and_x(tmp_path, opened):
    text = "\r\n" * 3 + "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.5 nm\r\n"
    found = facts(opened, tmp_path, metadata=None, extratags=[(34118, "s", 0, text, True)])
    assert found.voxel_um == (None, pytest.approx(0.0025), pytest.approx(0.0025))
