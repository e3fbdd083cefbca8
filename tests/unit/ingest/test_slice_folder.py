import numpy as np
import pytest
import tifffile
from PIL import Image

from porelay_ingest.numbering import missing_numbers, natural, ranges
from porelay_schemas.errors import BadInput

PLANE = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)


def folder(path, names, suffix=".tif", dtype=np.uint8):
    made = path / "slices"
    made.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        image = (PLANE + value).astype(dtype)
        if suffix == ".tif":
            tifffile.imwrite(made / f"{name}{suffix}", image)
        else:
            Image.fromarray(image).save(made / f"{name}{suffix}")
    return made


@pytest.mark.parametrize("suffix", [".tif", ".png", ".bmp"])
def test_slices_come_in_the_natural_order_of_their_names(tmp_path, voxels, suffix):
    names = [f"slice{n}" for n in (1, 2, 9, 10, 11, 100)]
    read = voxels(folder(tmp_path, names, suffix))
    np.testing.assert_array_equal(read, np.stack([PLANE + value for value in range(6)]))


def test_sixteen_bit_slices_keep_their_values(tmp_path, voxels):
    for suffix in (".tif", ".png"):
        made = (
            folder(tmp_path / suffix[1:], ["a1", "a2"], suffix, np.uint16)
            if (tmp_path / suffix[1:]).mkdir() is None
            else None
        )
        assert made is not None
        Image.fromarray(PLANE.astype(np.uint16) * 500).save(made / f"a2{suffix}")
        np.testing.assert_array_equal(voxels(made)[1], PLANE.astype(np.uint16) * 500)


def test_missing_numbers_are_named(tmp_path, opened):
    facts = opened(folder(tmp_path, [f"img_{n:04d}_z" for n in (7, 8, 9, 12, 13, 15)])).facts
    assert facts.missing == (10, 11, 14)
    assert facts.format == "6 TIFF (tifffile) slices"
    assert facts.names[0] == "img_0007_z.tif"


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["s10.tif", "s20.tif", "s30.tif", "s50.tif"], (40,)),
        (["2020_a1.png", "2020_a2.png", "2020_a4.png"], (3,)),
        (["z1_um0.5.tif", "z2_um0.5.tif", "z3_um0.5.tif"], ()),
        (["20240101.tif", "20240317.tif", "20240822.tif"], ()),
        (["a.tif", "b.tif", "c.tif"], ()),
        (["a1.tif"], ()),
    ],
)
def test_only_a_counting_series_can_have_gaps(names, missing):
    assert missing_numbers(names) == missing


def test_natural_order_puts_two_before_ten_whatever_the_case():
    assert sorted(["b10", "B2", "a", "b1"], key=natural) == ["a", "b1", "B2", "b10"]


def test_ranges_are_told_in_few_words():
    assert ranges([3, 5, 6, 7, 20]) == "3, 5-7, 20"
    assert ranges(range(0, 40, 2), most=3) == "0, 2, 4 and 17 more"


def test_an_empty_folder_holds_zero_slices(tmp_path, opened):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.tif").write_bytes(b"")
    with pytest.raises(
        BadInput, match=r"holds zero slices \(1 other files\), wanted files that end in .tif, .tiff, .png"
    ):
        opened(tmp_path)


def test_mixed_formats_are_refused(tmp_path, opened):
    folder(tmp_path, ["a1", "a2"], ".tif")
    with pytest.raises(BadInput, match="mixes PNG and TIFF, wanted slices of one format"):
        opened(folder(tmp_path, ["preview"], ".png"))


@pytest.mark.parametrize("odd", [PLANE[:10], PLANE.astype(np.uint16)], ids=["size", "type"])
def test_slices_that_differ_are_named(tmp_path, voxels, odd):
    made = folder(tmp_path, ["a1", "a2", "a3"])
    tifffile.imwrite(made / "a2.tif", odd)
    with pytest.raises(
        BadInput, match=r"slice 'a2.tif': has .* pixels \(y, x\) of uint.*'a1.tif' has 12 x 10 .* uint8"
    ):
        voxels(made)


def test_a_stack_among_slices_is_refused(tmp_path, opened):
    made = folder(tmp_path, ["a1"])
    tifffile.imwrite(made / "a1.tif", np.stack([PLANE] * 5))
    with pytest.raises(BadInput, match=r"slice 'a1.tif': holds 5 slices, wanted one a file. Give the file itself"):
        opened(made)


def test_a_truncated_slice_is_named(tmp_path, voxels):
    made = folder(tmp_path, ["a1", "a2", "a3"])
    (made / "a3.tif").write_bytes((made / "a3.tif").read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"a3.tif: the file is truncated"):
        voxels(made)


def test_a_slice_that_is_no_image_is_named(tmp_path, voxels):
    made = folder(tmp_path, ["a1", "a2"], ".png")
    (made / "a2.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\nnothing")
    with pytest.raises(BadInput, match=r"a2.png: cannot be decoded"):
        voxels(made)


def test_the_voxel_size_of_a_folder_is_that_of_its_slices(tmp_path, opened):
    made = tmp_path / "s"
    made.mkdir()
    for n in range(3):
        tifffile.imwrite(made / f"{n}.tif", PLANE, metadata=None, resolution=(20_000, 10_000), resolutionunit=3)
    assert opened(made).facts.voxel_um == (None, pytest.approx(1.0), pytest.approx(0.5))
