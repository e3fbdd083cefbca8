import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from porelay_schemas.errors import BadInput

PLANE = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
VOLUME = np.arange(5 * 6 * 7).reshape(5, 6, 7)


@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_an_image_is_a_stack_of_one_slice(tmp_path, voxels, name):
    Image.fromarray(PLANE).save(tmp_path / name)
    np.testing.assert_array_equal(voxels(tmp_path / name), PLANE[None])


def test_sixteen_bit_png_keeps_its_values(tmp_path, voxels):
    Image.fromarray(PLANE.astype(np.uint16) * 500).save(tmp_path / "a.png")
    np.testing.assert_array_equal(voxels(tmp_path / "a.png"), PLANE[None].astype(np.uint16) * 500)


def test_a_jpeg_is_read_with_a_warning(tmp_path, opened):
    Image.fromarray(PLANE).save(tmp_path / "a.jpg")
    facts = opened(tmp_path / "a.jpg").facts
    assert (facts.shape, facts.format) == ((1, 12, 10), "JPEG")
    assert "compression changes grey levels" in facts.notes[0]


def test_grey_in_colour_is_read_and_colour_is_refused(tmp_path, voxels):
    colours = np.stack([PLANE] * 3, axis=-1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(voxels(tmp_path / "a.png")[0], PLANE)
    colours[0, 0, 2] += 1
    Image.fromarray(colours).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match=r"b.png: is in colour"):
        voxels(tmp_path / "b.png")


def test_transparency_that_varies_is_refused(tmp_path, voxels):
    pixels = np.stack([PLANE] * 3 + [np.full_like(PLANE, 255)], axis=-1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(voxels(tmp_path / "a.png")[0], PLANE)
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "b.png")
    with pytest.raises(BadInput, match=r"b.png: has a transparency that varies"):
        voxels(tmp_path / "b.png")


def test_a_coloured_palette_keeps_its_numbers_and_a_grey_one_its_greys(tmp_path, voxels):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(voxels(tmp_path / "labels.png")[0], [[0, 1], [2, 1]])
    image.putpalette([10, 10, 10, 20, 20, 20, 30, 30, 30])
    image.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(voxels(tmp_path / "grey.png")[0], [[10, 20], [30, 20]])


def test_a_truncated_png_is_refused(tmp_path, voxels, rng):
    Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"a.png: cannot be decoded .* The file is damaged"):
        voxels(tmp_path / "a.png")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", ">u2", "float32", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_written(tmp_path, voxels, dtype, order):
    written = np.asarray(VOLUME % 2 if dtype == "bool" else VOLUME, dtype, order=order)
    np.save(tmp_path / "a.npy", written)
    read = voxels(tmp_path / "a.npy", step=2)
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(read, written)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_one_array_are_read_as_written(tmp_path, voxels, save):
    save(tmp_path / "a.npz", stack=VOLUME.astype(np.uint16))
    np.testing.assert_array_equal(voxels(tmp_path / "a.npz", step=2), VOLUME)


def test_an_archive_can_be_read_twice(tmp_path, opened):
    np.savez_compressed(tmp_path / "a.npz", VOLUME.astype(np.uint8))
    stack = opened(tmp_path / "a.npz")
    for _ in range(2):
        out = np.empty((2, 6, 7), np.uint8)
        stack.read(1, out)
        np.testing.assert_array_equal(out, VOLUME[1:3])


def test_archives_of_several_arrays_are_refused(tmp_path, opened):
    np.savez(tmp_path / "a.npz", grey=VOLUME, mask=VOLUME)
    with pytest.raises(BadInput, match=r"a.npz: wanted an .npz .* found: grey, mask. Save the stack alone"):
        opened(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_pickled_objects_are_never_loaded(tmp_path, opened, name):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", trap)
    with pytest.raises(BadInput, match=f"{name}: holds pickled Python objects, wanted a plain array .* never read"):
        opened(tmp_path / name)


def header(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_a_header_that_lies_about_its_size_allocates_nothing(tmp_path, opened):
    (tmp_path / "a.npy").write_bytes(header((5000, 5000, 5000)))
    with pytest.raises(
        BadInput, match=r"a.npy: the file is truncated: its header declares 1,000,000,000,000 bytes of voxels, 0"
    ):
        opened(tmp_path / "a.npy")


def test_an_archive_whose_header_lies_is_refused(tmp_path, opened):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("stack.npy", header((5000, 5000, 5000)) + bytes(100))
    with pytest.raises(
        BadInput, match=r"a.npz: the file is truncated: its header declares 1,000,000,000,000 bytes .* 100"
    ):
        opened(tmp_path / "a.npz")


def test_a_damaged_archive_is_refused(tmp_path, opened):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(BadInput, match=r"a.npz: cannot be decoded"):
        opened(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("shape", "said"), [((7,), r"\(7,\)"), ((2, 3, 4, 5, 6), r"\(2, 3, 4, 5, 6\)"), ((0, 4, 4), r"\(0, 4, 4\)")]
)
def test_other_shapes_are_refused(tmp_path, opened, shape, said):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(BadInput, match=rf"a.npy: shape {said}, wanted \(z, y, x\) or \(y, x\) with at least one voxel"):
        opened(tmp_path / "a.npy")


def test_complex_numbers_are_refused(tmp_path, opened):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), complex))
    with pytest.raises(BadInput, match=r"a.npy: holds complex128, wanted one number a voxel"):
        opened(tmp_path / "a.npy")
