"""The stage: order, truth, voxel size, memory, the report's page, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from porelay_preprocess.methods.bilateral import BilateralParams, bilateral
from porelay_preprocess.methods.crop import CropParams, crop
from porelay_preprocess.methods.curtains import CurtainsParams, curtains
from porelay_preprocess.methods.intensity import IntensityParams, intensity
from porelay_preprocess.stage import run
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import PreprocessRequest
from porelay_schemas.plan import MethodCall, Phase

PHASES = (Phase(name="pore", colour="#000000"), Phase(name="solid", colour="#ffffff"))
VOXEL_UM = (0.05, 0.02, 0.02)


def request(volume, *use, truth=None):
    calls = tuple(MethodCall(method=call) if isinstance(call, str) else MethodCall(**call) for call in use)
    return PreprocessRequest(run_id="r", plan="p", use=calls, phases=PHASES, volume=volume, truth=truth)


def call(method, **params):
    return {"method": method, "params": params}


@pytest.fixture
def grey(rng):
    texture = ndimage.gaussian_filter(rng.normal(size=(9, 48, 56)), (2, 3, 3))
    return np.clip(100 + 40 * texture / texture.std() + rng.normal(0, 6, texture.shape), 0, 255).astype(np.uint8)


def test_filters_run_in_the_order_of_the_plan(make_bench, put_volume, grey):
    bench = make_bench("preprocess")
    result = run(
        request(put_volume(grey, voxel_um=VOXEL_UM), call("crop", y=[4, 40]), "intensity", "curtains", "bilateral"),
        bench,
    )
    expected = crop(grey, CropParams(y=(4, 40)))
    expected = curtains(intensity(expected, IntensityParams()), CurtainsParams())
    expected = bilateral(expected, BilateralParams())
    np.testing.assert_array_equal(bench.volume(result.volume)[:], expected)
    assert result.volume.voxel_um == VOXEL_UM
    assert result.volume.dtype == "uint8"


def test_truth_moves_with_the_voxels_and_is_not_filtered(make_bench, put_volume, grey):
    truth = (grey > 100).astype(np.uint8)
    bench = make_bench("preprocess")
    asked = request(
        put_volume(grey, voxel_um=VOXEL_UM), call("crop", x=[8, 48]), "median", "resample",
        truth=put_volume(truth, "labels", VOXEL_UM, key="c"),
    )  # fmt: skip
    result = run(asked, bench)
    assert result.volume.shape == result.truth.shape == (22, 48, 40)
    assert result.volume.voxel_um == result.truth.voxel_um == (0.02, 0.02, 0.02)
    nearest = np.floor((np.arange(22) + 0.5) * 0.4).astype(int)
    np.testing.assert_array_equal(bench.volume(result.truth)[:], truth[nearest, :, 8:48])


def test_truth_stays_where_it_is_when_nothing_moves(make_bench, put_volume, grey):
    truth = put_volume(grey // 128, "labels", key="c")
    result = run(request(put_volume(grey), "median", truth=truth), make_bench("preprocess"))
    assert result.truth == truth


def test_no_filter_leaves_the_volume_where_it_is(make_bench, put_volume, grey):
    volume = put_volume(grey)
    assert run(request(volume), make_bench("preprocess")).volume == volume


def test_normalised_volumes_hold_fractions(make_bench, put_volume, grey):
    bench = make_bench("preprocess")
    result = run(request(put_volume(grey), "min_max", "gaussian"), bench)
    assert result.volume.dtype == "float32"
    assert 0 <= bench.volume(result.volume)[:].min() < bench.volume(result.volume)[:].max() <= 1


def test_the_page_shows_before_and_after_and_tells_what_each_filter_found(make_bench, put_volume, grey):
    bench = make_bench("preprocess")
    run(request(put_volume(grey), "intensity", "curtains", "align", "nl_means"), bench)
    page = json.loads(bench.path("section.json").read_text())
    gallery, table = page["blocks"][:2]
    assert [figure["file"] for figure in gallery["figures"]] == ["before.png", "after.png"]
    assert [row[1] for row in table["rows"]] == ["intensity", "curtains", "align", "nl_means"]
    assert "strength = 0.8" in table["rows"][3][2]
    text = json.dumps(page)
    for told in ("flicker before", "curtain score after", "rms, pixels", "noise sigma found"):
        assert told in text
    for file in [block["file"] for block in page["blocks"] if block["kind"] == "figure"]:
        assert bench.path(file).stat().st_size > 0
    assert len(json.loads(bench.path("03-align.json").read_text())["measured"]) == 9


def test_labels_may_be_moved_but_not_blurred(make_bench, put_volume):
    labels = np.zeros((4, 12, 12), np.uint8)
    labels[:, 4:8, 4:8] = 1
    volume = put_volume(labels, "labels")
    bench = make_bench("preprocess")
    result = run(request(volume, call("pad", before=[0, 2, 0], mode="edge")), bench)
    assert result.volume.kind == "labels" and result.volume.shape == (4, 14, 12)
    with pytest.raises(BadInput) as error:
        run(request(volume, "gaussian"), make_bench("preprocess", "d"))
    assert str(error.value).startswith("preprocess.gaussian: the volume holds labels")
    assert "crop, pad and resample work on labels" in str(error.value)


def test_a_truth_of_another_shape_is_refused(make_bench, put_volume, grey):
    truth = put_volume(grey[:5], "labels", key="c")
    with pytest.raises(BadInput, match=r"truth: shape \(z, y, x\) is \(5, 48, 56\), wanted \(9, 48, 56\)"):
        run(request(put_volume(grey), "median", truth=truth), make_bench("preprocess"))


def test_a_box_that_does_not_fit_is_refused_before_anything_is_computed(make_bench, put_volume, grey):
    bench = make_bench("preprocess")
    with pytest.raises(BadInput, match=r"crop.z: got \[0, 99\]"):
        run(request(put_volume(grey), "median", call("crop", z=[0, 99])), bench)
    assert not bench.path("grey.zarr").exists()


@pytest.mark.slow
def test_more_than_the_memory_limit_streams_within_the_limit(tmp_path):
    script = Path(__file__).with_name("streaming.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3.0  # the volume is twice the limit; heap and buffers of the libraries come on top
