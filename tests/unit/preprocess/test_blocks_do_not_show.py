"""Every installed filter gives the same bits however its result is cut into blocks."""

from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pytest
from scipy import ndimage

from porelay_preprocess.methods.median import MedianParams, median
from porelay_preprocess.views import Filtered, bites
from porelay_schemas.base import Params
from porelay_schemas.filters import filter_of, whole
from porelay_schemas.frames import InMemory, full_box

VOXEL_UM = (0.03, 0.02, 0.01)
PARAMS = {
    "crop": {"z": [2, 11], "y": [3, 40], "x": [1, 30]},
    "pad": {"before": [2, 9, 50], "after": [1, 0, 40]},
    "resample": {"voxel_um": [0.02, 0.025, 0.01]},
    "gaussian": {"sigma_voxels": [0.5, 1.0, 1.5]},
    "nl_means": {"search_radius": 2},
    "intensity": {"window_slices": 5},
    "curtains": {"levels": 2},
}
FILTERS = sorted(entry_points(group="porelay.filter"), key=lambda entry: entry.name)


@pytest.fixture(scope="module")
def grey():
    rng = np.random.default_rng(5)
    texture = ndimage.gaussian_filter(rng.normal(size=(12, 60, 55)), 2)
    slices = [
        ndimage.shift(plane, rng.normal(0, 1, 2), order=1)[5:-5, 5:-5] for plane in 100 + 60 * texture / texture.std()
    ]
    return np.clip(np.stack(slices) + rng.normal(0, 6, (12, 50, 45)), 0, 255)


def view_of(entry, array):
    function = entry.load()
    hint = function.__annotations__["params"]
    params: Params = hint(**PARAMS.get(entry.name, {}))
    source = InMemory(array, VOXEL_UM)
    declared = filter_of(function)
    model = declared.fit(source, params) if declared.fit else None
    return Filtered(source, function, params, model)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("entry", FILTERS, ids=[entry.name for entry in FILTERS])
def test_blocks_of_a_filter_are_cut_from_the_whole(grey, entry, dtype):
    array = grey.astype(dtype)
    view = view_of(entry, array)
    at_once = whole(view.function, array, view.params, VOXEL_UM)
    assert at_once.shape == view.shape
    assert at_once.dtype == view.dtype
    for start in ((0, 0, 0), (3, 11, 17), tuple(size - 4 for size in view.shape)):
        box = tuple(slice(at, at + 13) for at in start)
        np.testing.assert_array_equal(view[box], at_once[box])


@pytest.mark.parametrize("entry", FILTERS, ids=[entry.name for entry in FILTERS])
def test_a_chain_in_pieces_is_the_chain_at_once(grey, entry):
    first = view_of(entry, grey.astype(np.uint8))
    at_once = Filtered(first, median, MedianParams(), None)
    pieces = Filtered(replace(first, limit=20_000), median, MedianParams(), None, limit=15_000)
    assert len(list(bites(pieces, full_box(pieces.shape)))) > 4
    np.testing.assert_array_equal(pieces[:], at_once[:])


def test_every_filter_of_the_plans_is_installed():
    names = {entry.name for entry in FILTERS}
    assert names >= {
        "median", "gaussian", "nl_means", "bilateral", "curtains", "align", "intensity", "min_max", "z_score",
        "percentile", "crop", "resample", "pad",
    }  # fmt: skip
