"""Every installed segmenter gives the same labels however the volume is cut into blocks."""

from importlib.metadata import entry_points

import numpy as np
import pytest
from scipy import ndimage

from porelay_schemas.frames import InMemory
from porelay_schemas.plan import Phase
from porelay_schemas.segmenters import segmenter_of
from porelay_segment.boxes import boxes, widened

PHASES = (Phase(name="pore", colour="#000000"), Phase(name="solid", colour="#ffffff"))
CASES = {
    "otsu": [{}, {"smooth_sigma_voxels": 1.2}],
    "gmm": [
        {},
        {"scales_voxels": [0, 1.0], "gradient": True},
        {"regions": {"pore": [[0, 4, 0, 9, 0, 9], [2, 5, 20, 30, 0, 9]], "solid": [[5, 9, 3, 20, 9, 20]]}},
    ],
    "labels": [{"values": {"pore": [0, 1, 2], "solid": list(range(3, 256))}}],
}
SEGMENTERS = sorted(entry_points(group="porelay.segmenter"), key=lambda entry: entry.name)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("entry", "given"), [(entry, given) for entry in SEGMENTERS for given in CASES.get(entry.name, [{}])]
)
def test_blocks_are_cut_from_the_whole(rng, entry, given, dtype):
    function = entry.load()
    declared, params = segmenter_of(function), function.__annotations__["params"](**given)
    if declared.takes == "labels" and dtype == "float32":
        return
    texture = ndimage.gaussian_filter(rng.normal(size=(40, 38, 45)), 2)
    values = np.clip(100 + 60 * texture / texture.std() + rng.normal(0, 8, texture.shape), 0, 255).astype(dtype)
    model = declared.fit(InMemory(values), PHASES, params)
    at_once = function(values, PHASES, params)
    assert at_once.dtype == np.uint8 and at_once.shape == values.shape
    for box in boxes(values.shape, (23, 19, 31)):
        wide, core = widened(box, declared.halo(params), values.shape)
        np.testing.assert_array_equal(declared.apply(values[wide], model, params)[core], at_once[box])


def test_every_segmenter_of_the_plans_is_installed():
    assert {entry.name for entry in SEGMENTERS} >= {"otsu", "gmm", "labels"}
