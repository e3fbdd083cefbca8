"""Separate images across y and x are labelled by the plan's method, each with its own thresholds."""

import json

import numpy as np
import pytest

from porelay_schemas.errors import BadInput
from porelay_schemas.messages import SegmentRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_segment.stage import run

PHASES = tuple(
    Phase(name=name, colour=colour)
    for name, colour in (("pore", "#2b3a4a"), ("cbd", "#e0a030"), ("active_material", "#9fb4c7"))
)
LEVELS = {"z": (50, 110, 190), "y": (20, 60, 100), "x": (120, 180, 240)}
"""Grey levels of the phases in each image: micrographs of different exposure."""


def truth(rows, columns, pore=10):
    labels = np.full((1, rows, columns), 2, np.uint8)
    labels[:, :20] = 1
    labels[:, :pore] = 0
    return labels


TRUTH = {"z": truth(30, 40), "y": truth(30, 44), "x": truth(30, 36)}


@pytest.fixture
def request_of(put_volume, rng):
    def request_of(*use, given=TRUTH):
        put = {}
        for axis, key in zip("zyx", "bcd", strict=True):
            grey = np.array(LEVELS[axis])[given[axis]] + rng.normal(0, 4, given[axis].shape)
            put[axis] = put_volume(np.rint(grey).astype(np.uint8), key=key)
        return SegmentRequest(run_id="r", plan="p", use=use, phases=PHASES, volume=put.pop("z"), planes=put)

    return request_of


def page_of(bench):
    return json.loads(bench.path("section.json").read_text())


def test_each_image_has_thresholds_of_its_own_so_exposure_does_not_matter(make_bench, request_of):
    bench = make_bench("segment")
    result = run(request_of(MethodCall(method="otsu")), bench)
    np.testing.assert_array_equal(bench.volume(result.labels)[:], TRUTH["z"])
    for axis, ref in result.planes.items():
        assert (ref.name, ref.kind) == (f"plane_{axis}.zarr", "labels")
        np.testing.assert_array_equal(bench.volume(ref)[:], TRUTH[axis])
        model = json.loads(bench.path(f"model_plane_{axis}.json").read_text())
        dark, between, bright = LEVELS[axis]
        assert dark < model["thresholds"][0] < between < model["thresholds"][1] < bright


def test_the_page_holds_the_images_side_by_side(make_bench, request_of):
    bench = make_bench("segment")
    run(request_of(MethodCall(method="otsu")), bench)
    tables = {block["caption"]: block for block in page_of(bench)["blocks"] if block["kind"] == "table"}
    fractions = tables["Fractions, image by image"]
    assert fractions["header"] == ["phase", "stack, across z", "plane y", "plane x"]
    assert fractions["rows"][0] == ["pore", *[pytest.approx(1 / 3)] * 3]
    assert len(tables["Grey levels that part the phases: each image has its own, from its own histogram"]["rows"]) == 2
    assert bench.path("plane_y.png").stat().st_size > 1000
    assert not [block for block in page_of(bench)["blocks"] if block.get("tone") == "warning"]


def test_images_that_disagree_on_the_fractions_are_a_warning(make_bench, request_of):
    bench = make_bench("segment")
    run(request_of(MethodCall(method="otsu"), given=TRUTH | {"x": truth(40, 36)}), bench)
    (text,) = [block["text"] for block in page_of(bench)["blocks"] if block.get("tone") == "warning"]
    assert text.startswith(
        "The fraction of active material differs by 16.7 points between the images. Cuts through one material"
    )


def test_marked_boxes_fit_no_other_image(make_bench, request_of):
    regions = {phase.name: [[0, 1, row, row + 5, 0, 30]] for phase, row in zip(PHASES, (2, 12, 22), strict=True)}
    asked = request_of(MethodCall(method="gmm", params={"regions": regions}))
    with pytest.raises(BadInput, match=r"segment\.gmm: its parameters mark places in the stack, which mean nothing"):
        run(asked, make_bench("segment"))
    unmarked = asked.model_copy(update={"use": (MethodCall(method="gmm"),)})
    assert set(run(unmarked, make_bench("segment", "e")).planes) == {"y", "x"}
