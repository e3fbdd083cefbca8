import struct

import numpy as np
import pytest
import tifffile

from porelay_schemas.errors import BadInput

RAMP = np.arange(7 * 9 * 11).reshape(7, 9, 11)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_type_and_byte_order_is_read_as_written(tmp_path, voxels, dtype, byteorder):
    written = RAMP.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", written, byteorder=byteorder)
    read = voxels(tmp_path / "a.tif")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, written)


@pytest.mark.parametrize(
    "how",
    [
        {"bigtiff": True},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"tile": (16, 16)},
        {"rowsperstrip": 2},
        {"photometric": "minisblack", "metadata": None},
        {"imagej": True},
        {"ome": True},
        {"truncate": True},
    ],
    ids=str,
)
def test_every_layout_is_read_as_written(tmp_path, voxels, how):
    written = RAMP.astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", written, **how)
    np.testing.assert_array_equal(voxels(tmp_path / "a.tif"), written)


def test_pages_written_one_by_one_and_stored_differently_are_one_stack(tmp_path, voxels):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for z, plane in enumerate(RAMP.astype(np.uint8)):
            tif.write(plane, metadata=None, compression="zlib" if z % 2 else None)
    np.testing.assert_array_equal(voxels(tmp_path / "a.tif"), RAMP.astype(np.uint8))


def test_one_bit_a_voxel_is_read(tmp_path, voxels):
    written = RAMP % 3 == 0
    tifffile.imwrite(tmp_path / "a.tif", written)
    read = voxels(tmp_path / "a.tif")
    assert read.dtype == bool
    np.testing.assert_array_equal(read, written)


def test_a_single_image_is_a_stack_of_one_slice(tmp_path, opened):
    tifffile.imwrite(tmp_path / "a.tif", RAMP[0].astype(np.uint8))
    assert opened(tmp_path / "a.tif").facts.shape == (1, 9, 11)


@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}], ids=str)
def test_equal_colours_are_grey_and_different_ones_are_refused(tmp_path, voxels, how):
    grey = RAMP.astype(np.uint8)
    colours = np.stack([grey] * 3, axis=1 if how.get("planarconfig") else -1)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", metadata=None, **how)
    np.testing.assert_array_equal(voxels(tmp_path / "a.tif"), grey)
    colours[5].flat[0] += 1
    tifffile.imwrite(tmp_path / "b.tif", colours, photometric="rgb", metadata=None, **how)
    with pytest.raises(
        BadInput, match=r"b.tif: slice 5: is in colour \(3 channels that differ\), wanted one grey level"
    ):
        voxels(tmp_path / "b.tif")


def test_an_imagej_stack_beyond_4_gb_has_one_directory_and_all_its_slices(tmp_path, opened):
    """ImageJ writes such files so; the bulk of this one is a hole that takes no disk."""
    path, count, side = tmp_path / "big.tif", 4200, 1024
    text = f"ImageJ=1.54f\nimages={count}\nslices={count}\nunit=nm\nspacing=20.0\nloop=false\n".encode() + b"\0"
    tags = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (270, 2, len(text), 200),
        (273, 4, 1, 1000), (277, 3, 1, 1), (278, 3, 1, side), (279, 4, 1, side * side),
        (282, 5, 1, 400), (283, 5, 1, 400),
    ]  # fmt: skip
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)))
        for code, kind, number, value in tags:
            file.write(
                struct.pack("<HHI", code, kind, number)
                + struct.pack("<HH" if kind == 3 else "<I", *([value, 0][: 2 if kind == 3 else 1]))
            )
        file.write(struct.pack("<I", 0))
        file.seek(200)
        file.write(text)
        file.seek(400)
        file.write(struct.pack("<II", 1, 10))
        file.seek(1000 + 4199 * side**2)
        file.write(bytes(range(256)) * (side**2 // 256))
    assert path.stat().st_size > 2**32
    stack = opened(path)
    assert stack.facts.shape == (count, side, side)
    assert stack.facts.voxel_um == pytest.approx((0.02, 0.01, 0.01))
    last = np.empty((1, side, side), np.uint8)
    stack.read(4199, last)
    np.testing.assert_array_equal(last.ravel()[:256], np.arange(256))


@pytest.mark.parametrize(
    "how", [{}, {"imagej": True}, {"metadata": None}, {"compression": "zlib"}, {"ome": True}], ids=str
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, voxels, rng, how, share):
    whole = tmp_path / "a.tif"
    tifffile.imwrite(whole, rng.integers(0, 255, (20, 64, 64), np.uint8), **how)
    whole.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(BadInput, match=r"a.tif: the file is truncated: .* (Copy it again|Export it again)"):
        voxels(whole)


def test_damaged_voxels_are_told_with_their_slice(tmp_path, voxels, rng):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rng.integers(0, 255, (5, 64, 64), np.uint8), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[3].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(
        BadInput, match=r"a.tif: slice 3: cannot be decoded .* The file is damaged: copy or export it again"
    ):
        voxels(path)


def test_a_tiff_without_pages_holds_zero_slices(tmp_path, opened):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 0))
    with pytest.raises(BadInput, match=r"a.tif: the TIFF holds zero slices, wanted at least one"):
        opened(tmp_path / "a.tif")


def test_directories_in_a_circle_are_refused(tmp_path, opened):
    tifffile.imwrite(tmp_path / "a.tif", RAMP[:2].astype(np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        first, second = (page.offset for page in tif.pages)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    entries = struct.unpack("<H", data[second : second + 2])[0]
    data[second + 2 + 12 * entries : second + 6 + 12 * entries] = struct.pack("<I", first)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(BadInput, match="the file is truncated"):
        opened(tmp_path / "a.tif")


def test_slices_of_different_size_are_named(tmp_path, opened):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for size in (64, 64, 48):
            tif.write(np.zeros((size, 64), np.uint8), metadata=None)
    with pytest.raises(
        BadInput, match=r"slice 2 has 48 x 64 pixels \(y, x\), 8 bits unsigned, slice 0 has 64 x 64 pixels"
    ):
        opened(tmp_path / "a.tif")


def test_slices_of_different_type_are_named(tmp_path, opened):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(np.zeros((64, 64), np.uint8), metadata=None)
        tif.write(np.zeros((64, 64), np.uint16), metadata=None)
    with pytest.raises(BadInput, match=r"slice 1 has .* 16 bits unsigned, slice 0 has .* 8 bits unsigned"):
        opened(tmp_path / "a.tif")


@pytest.mark.parametrize("how", [{"imagej": True}, {"ome": True}], ids=str)
def test_several_channels_are_refused(tmp_path, opened, how):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 2, 8, 8), np.uint8), metadata={"axes": "ZCYX"}, **how)
    with pytest.raises(BadInput, match=r"a.tif: holds 2 channels, wanted one"):
        opened(tmp_path / "a.tif")


def test_points_in_time_are_refused_but_frames_alone_are_slices(tmp_path, opened):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 8, 8), np.uint8), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(BadInput, match=r"a.tif: holds 3 points in time of 4 slices, wanted one volume"):
        opened(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 8, 8), np.uint8), imagej=True, metadata={"axes": "TYX"})
    assert opened(tmp_path / "b.tif").facts.shape == (3, 8, 8)


def test_an_ome_file_whose_slices_are_elsewhere_is_refused(tmp_path, opened):
    """A multi-file OME-TIFF names other files; they are never opened."""
    tifffile.imwrite(tmp_path / "a.tif", RAMP[:3].astype(np.uint8), ome=True, metadata={"axes": "ZYX"})
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(b'SizeZ="3"', b'SizeZ="9"'))
    with pytest.raises(BadInput, match=r"its header tells of 9 slices, 3 are there: the others are in other files"):
        opened(tmp_path / "a.tif")


def test_a_header_that_declares_far_more_than_the_file_is_refused(tmp_path, opened):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["ImageWidth"].overwrite(60_000)
        tif.pages[0].tags["ImageLength"].overwrite(60_000)
    with pytest.raises(BadInput, match=r"a.tif: declares 3,600,000,000 bytes of voxels in a file of \d+ bytes"):
        opened(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "how", [{}, {"imagej": True}, {"ome": True}, {"compression": "zlib", "metadata": None}], ids=str
)
def test_no_damage_of_the_header_ends_in_anything_but_a_clear_error(tmp_path, opened, rng, how):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP.astype(np.uint8), **how)
    whole = path.read_bytes()
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(0, 400, 3):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            facts = opened(path).facts
        except BadInput as error:
            assert str(error).endswith("."), str(error)
        else:
            assert len(facts.shape) == 3
