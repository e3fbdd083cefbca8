"""Separate images across y and x are cleaned like the stack, each with what a filter learns from it alone."""

import json

import numpy as np
import pytest
from scipy import ndimage

from porelay_preprocess.methods.bilateral import BilateralParams, bilateral
from porelay_preprocess.methods.curtains import CurtainsParams, curtains
from porelay_preprocess.methods.percentile import PercentileParams, percentile
from porelay_preprocess.stage import run
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import PreprocessRequest
from porelay_schemas.plan import MethodCall, Phase

PHASES = (Phase(name="pore", colour="#000000"), Phase(name="solid", colour="#ffffff"))


def image(rng, rows, columns, slices=1):
    texture = ndimage.gaussian_filter(rng.normal(size=(slices, rows, columns)), (0, 3, 3))
    grey = 100 + 40 * texture / texture.std() + rng.normal(0, 6, texture.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


@pytest.fixture
def three(rng):
    return {"z": image(rng, 64, 72), "y": image(rng, 80, 72), "x": image(rng, 80, 64, slices=2)}


@pytest.fixture
def request_of(put_volume, three):
    def request_of(*use):
        put = {axis: put_volume(grey, key=key) for (axis, grey), key in zip(three.items(), "bcd", strict=True)}
        calls = tuple(MethodCall(method=call) if isinstance(call, str) else MethodCall(**call) for call in use)
        return PreprocessRequest(run_id="r", plan="p", use=calls, phases=PHASES, volume=put.pop("z"), planes=put)

    return request_of


def test_the_filters_of_the_shipped_plans_take_single_images(make_bench, request_of, three):
    bench = make_bench("preprocess")
    result = run(request_of("intensity", "curtains", "align", "bilateral"), bench)
    for ref, grey in ((result.volume, three["z"]), (result.planes["y"], three["y"])):
        expected = bilateral(curtains(grey, CurtainsParams()), BilateralParams())
        np.testing.assert_array_equal(bench.volume(ref)[:], expected)
    assert result.planes["x"].shape == (2, 80, 64)
    assert [ref.name for ref in result.planes.values()] == ["plane_y.zarr", "plane_x.zarr"]


def test_what_a_filter_learns_is_learned_from_each_image_alone(make_bench, request_of, three):
    bench = make_bench("preprocess")
    result = run(request_of("percentile"), bench)
    for axis, ref in result.planes.items():
        np.testing.assert_array_equal(bench.volume(ref)[:], percentile(three[axis], PercentileParams()))


def test_the_page_shows_each_plane_before_and_after(make_bench, request_of):
    bench = make_bench("preprocess")
    run(request_of("intensity", "median"), bench)
    page = json.loads(bench.path("section.json").read_text())
    captions = [block["caption"] for block in page["blocks"] if block["kind"] in ("figure", "table")]
    assert any(
        caption.startswith("Plane y (slices across y, rows along z, columns along x) before and after: noise")
        for caption in captions
    )
    assert "Step 1, intensity" in captions and "Plane x, step 1, intensity" in captions
    for name in ("plane_y.png", "plane_x.png", "plane_x/01-intensity.json", "01-intensity.json"):
        assert bench.path(name).stat().st_size > 0
    assert not list(bench.path("plane_y").glob("*.svg")), "one image has no course along the stack"


def test_without_filters_the_planes_stay_where_they_are(make_bench, request_of):
    asked = request_of()
    assert run(asked, make_bench("preprocess")).planes == asked.planes


def test_a_filter_that_does_not_fit_a_plane_says_which(make_bench, request_of):
    text = r"^plane x \(slices across x, rows along z, columns along y\): crop.x: got \[0, 70\]"
    with pytest.raises(BadInput, match=text):
        run(request_of({"method": "crop", "params": {"x": [0, 70]}}), make_bench("preprocess"))
