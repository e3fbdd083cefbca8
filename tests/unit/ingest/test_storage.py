import numpy as np
import pytest

from porelay_ingest.storage import storage_of
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import StackFacts


def stored(voxels, kind="grey", **facts):
    array = np.asarray(voxels).reshape(1, 1, -1).copy()
    storage = storage_of(StackFacts("TIFF", array.shape, array.dtype.name, **facts), kind, "a.tif")
    result = storage.convert(array, 4)
    assert result.dtype == storage.dtype
    return result.ravel().tolist(), storage


@pytest.mark.parametrize(
    ("dtype", "given", "kept", "as_"),
    [
        ("bool", [0, 1], [0, 1], "uint8"),
        ("uint8", [0, 255], [0, 255], "uint8"),
        ("uint16", [0, 65535], [0, 65535], "uint16"),
        ("int8", [-128, 0, 127], [0, 128, 255], "uint8"),
        ("int16", [-32768, -1, 32767], [0, 32767, 65535], "uint16"),
        ("int32", [-(2**24), 2**24], [-(2**24), 2**24], "float32"),
        ("uint32", [0, 2**24], [0, 2**24], "float32"),
        ("float16", [0.5, -2], [0.5, -2], "float32"),
        ("float32", [0.5, -2], [0.5, -2], "float32"),
        ("float64", [0.5, -2], [0.5, -2], "float32"),
    ],
)
def test_grey_levels_keep_their_order_and_exact_ones_their_value(dtype, given, kept, as_):
    result, storage = stored(np.array(given, dtype))
    assert (result, storage.dtype) == (kept, as_)
    assert bool(storage.rule) == (dtype != as_)


def test_white_is_zero_is_turned_round_for_grey_and_not_for_labels():
    assert stored(np.array([0, 10, 255], np.uint8), white_is_zero=True)[0] == [255, 245, 0]
    assert stored(np.array([False, True]), white_is_zero=True)[0] == [1, 0]
    assert stored(np.array([0, 10, 255], np.uint8), "labels", white_is_zero=True)[0] == [0, 10, 255]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinity_are_named_with_slice_and_count(dtype):
    voxels = np.zeros((3, 4, 4), dtype)
    voxels[1, 0, :3], voxels[1, 1, 0] = np.nan, np.inf
    storage = storage_of(StackFacts("TIFF", voxels.shape, dtype), "grey", "a.tif")
    with pytest.raises(BadInput, match=r"a.tif: slice 9 holds 3 NaN and 1 infinite voxels, wanted finite grey levels"):
        storage.convert(voxels, 8)


def test_a_double_too_large_for_single_precision_is_infinite():
    with pytest.raises(BadInput, match="slice 4 holds 0 NaN and 1 infinite"):
        stored(np.array([1e300]))


def test_integers_that_single_precision_cannot_hold_are_refused():
    with pytest.raises(
        BadInput, match=r"a.tif: int32 grey levels from 0 to 16777217 in slices 4 to 4, wanted at most 16777216"
    ):
        stored(np.array([0, 2**24 + 1], np.int32))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int32", "float32"])
def test_labels_of_any_type_are_kept(dtype):
    assert stored(np.array([0, 1], dtype), "labels")[0] == [0, 1]


@pytest.mark.parametrize(("voxels", "said"), [([-1, 3], "-1 to 3"), ([0, 256], "0 to 256")])
def test_labels_beyond_a_byte_are_refused(voxels, said):
    with pytest.raises(
        BadInput, match=f"slice 4 holds values from {said}, wanted labels 0 to 255, at most 256 distinct"
    ):
        stored(np.array(voxels, np.int16), "labels")


def test_labels_that_are_no_whole_numbers_are_refused():
    with pytest.raises(BadInput, match=r"slice 4 holds 0.5, wanted whole numbers: labels. Interpolation and JPEG make"):
        stored(np.array([0, 0.5, 1], np.float32), "labels")


def test_complex_numbers_are_no_grey_levels():
    with pytest.raises(BadInput, match=r"a.tif: voxels of type complex64, wanted integers or floats"):
        stored(np.array([1j], np.complex64))
