"""The stage: labels, fractions, agreement with the truth, the report's page, and what it refuses."""

import json

import numpy as np
import pytest

from porelay_kit.figures import surface, voxels
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import SegmentRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_segment.stage import run

PHASES = tuple(
    Phase(name=name, colour=colour)
    for name, colour in (("pore", "#2b3a4a"), ("cbd", "#e0a030"), ("active_material", "#9fb4c7"))
)


def request(volume, *use, truth=None, phases=PHASES):
    calls = tuple(MethodCall(method=call) if isinstance(call, str) else MethodCall(**call) for call in use)
    return SegmentRequest(run_id="r", plan="p", use=calls, phases=phases, volume=volume, truth=truth)


@pytest.fixture(autouse=True)
def coarse_3d_views(monkeypatch):
    """Render fewer pixels: quicker, and drawn just as large."""
    monkeypatch.setattr(surface, "_PIXELS", 100)
    monkeypatch.setattr(voxels, "_PIXELS", 100)


@pytest.fixture
def truth():
    labels = np.zeros((6, 30, 40), np.uint8)
    labels[:, 10:20] = 1
    labels[:, 20:] = 2
    return labels


@pytest.fixture
def grey(truth, rng):
    return (np.array([50, 110, 190])[truth] + rng.normal(0, 5, truth.shape)).astype(np.uint8)


def test_labels_fractions_and_dice(make_bench, put_volume, grey, truth):
    wrong = truth.copy()
    wrong[:, 18:20] = 2
    bench = make_bench("segment")
    volume = put_volume(grey, voxel_um=(0.1, 0.05, 0.05))
    result = run(request(volume, "otsu", truth=put_volume(wrong, "labels", key="c")), bench)
    np.testing.assert_array_equal(bench.volume(result.labels)[:], truth)
    assert result.labels.kind == "labels" and result.labels.dtype == "uint8"
    assert result.labels.voxel_um == (0.1, 0.05, 0.05)
    assert result.fractions == pytest.approx({"pore": 1 / 3, "cbd": 1 / 3, "active_material": 1 / 3})
    assert result.dice == pytest.approx({"pore": 1, "cbd": 2 * 8 / (8 + 10), "active_material": 2 * 10 / (12 + 10)})


def test_the_page_shows_agreement_and_says_what_a_threshold_cannot(make_bench, put_volume, grey, truth):
    bench = make_bench("segment")
    run(request(put_volume(grey), "otsu", truth=put_volume(truth, "labels", key="c")), bench)
    page = json.loads(bench.path("section.json").read_text())
    assert "Dice against the truth: pore 1.000, cbd 1.000, active material 1.000." in page["headline"]
    tables = {block["caption"]: block for block in page["blocks"] if block["kind"] == "table"}
    confusion = next(table for caption, table in tables.items() if caption.startswith("Where the voxels"))
    assert confusion["rows"] == [["pore", 1, 0, 0], ["cbd", 0, 1, 0], ["active_material", 0, 0, 1]]
    notes = [block["text"] for block in page["blocks"] if block.get("tone") == "note"]
    assert len(notes) == 1 and "thin rind" in notes[0] and "volume of cbd" in notes[0]
    for name in ("grey.png", "overlay.png", "labels.png", "histogram.svg", "model.json"):
        assert bench.path(name).stat().st_size > 0


def test_two_phases_have_no_rind(make_bench, put_volume, grey):
    bench = make_bench("segment")
    run(request(put_volume(grey), "gmm", phases=PHASES[::2]), bench)
    assert "rind" not in bench.path("section.json").read_text()


def test_a_segmented_volume_is_taken_over(make_bench, put_volume, truth):
    bench = make_bench("segment")
    result = run(request(put_volume(truth * 100, "labels"), "labels"), bench)
    np.testing.assert_array_equal(bench.volume(result.labels)[:], truth)
    assert result.dice is None
    assert "100 is cbd" in bench.path("section.json").read_text()


def test_truth_values_are_phases_in_their_order(make_bench, put_volume, grey, truth):
    asked = request(put_volume(grey), "otsu", truth=put_volume(85 * (truth + 1), "labels", key="c"))
    assert run(asked, make_bench("segment")).dice["cbd"] == 1


def test_a_phase_that_gets_no_voxel_is_a_warning(make_bench, put_volume, rng):
    grey = (100 + rng.normal(0, 10, (8, 40, 40))).clip(0, 255).astype(np.uint8)
    regions = {"pore": [[0, 8, 0, 40, 0, 40]], "cbd": [[0, 8, 0, 40, 0, 40]]}
    bench = make_bench("segment")
    call = {"method": "gmm", "params": {"regions": regions}}
    result = run(request(put_volume(grey), call, phases=PHASES[:2]), bench)
    page = json.loads(bench.path("section.json").read_text())
    assert 0 in result.fractions.values()
    assert any(block.get("tone") == "warning" and "No voxel is cbd" in block["text"] for block in page["blocks"])


@pytest.mark.parametrize(
    ("kind", "method", "text"),
    [
        ("labels", "otsu", "segment.otsu: the volume holds labels, wanted grey. It is segmented already: write"),
        ("grey", "labels", "segment.labels: the volume holds grey, wanted labels. Use a method for grey levels"),
    ],
)
def test_the_wrong_kind_of_volume_is_refused(make_bench, put_volume, grey, kind, method, text):
    with pytest.raises(BadInput) as error:
        run(request(put_volume(grey, kind), method), make_bench("segment"))
    assert text in str(error.value)


@pytest.mark.parametrize("use", [(), ("otsu", "gmm")])
def test_other_than_one_method_is_refused(make_bench, put_volume, grey, use):
    with pytest.raises(BadInput, match=f"segment: got {len(use)} methods .*, wanted exactly one"):
        run(request(put_volume(grey), *use), make_bench("segment"))


def test_a_truth_that_does_not_fit_is_refused(make_bench, put_volume, grey, truth):
    volume = put_volume(grey)
    with pytest.raises(BadInput, match=r"truth: shape \(z, y, x\) is \(5, 30, 40\), wanted \(6, 30, 40\)"):
        run(request(volume, "otsu", truth=put_volume(truth[:5], "labels", key="c")), make_bench("segment"))
    four = truth.copy()
    four[0, 0, 0] = 9
    with pytest.raises(BadInput, match="truth: the volume holds 4 values"):
        run(request(volume, "otsu", truth=put_volume(four, "labels", key="d")), make_bench("segment", "e"))
