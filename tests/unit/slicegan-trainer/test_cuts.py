"""Separate images across z, y and x: which critic sees which, how they lie, and what must agree."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from porelay_nets.card import Card
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import SliceganTrainerRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_slicegan_trainer import cuts, stage
from porelay_slicegan_trainer.checks import images_of
from porelay_slicegan_trainer.data import AXES
from porelay_slicegan_trainer.training import axes_of, real_slices

PHASES = (Phase(name="pore", colour="#202020"), Phase(name="active_material", colour="#c0c0c0"))
EDGES = {"z": (9.0, 0.2, 0.1), "y": (9.0, 0.3, 0.1), "x": (9.0, 0.3, 0.2)}
"""Edges of each image in its own frame: how far images lie apart, rows, columns; along z 0.3, y 0.2, x 0.1."""


def rods(shape, along_z=3, along_y=5):
    """Rods along x: layers of `along_z` voxels along z and of `along_y` voxels along y, crossed like a chessboard."""
    z, y, _ = np.indices(shape)
    return ((z // along_z + y // along_y) % 2).astype(np.uint8)


@pytest.fixture
def three():
    """One image across each axis of rods, each of a piece of its own: (1, rows, columns)."""
    material = rods((40, 50, 60))
    return {"z": material[7:8], "y": material[:, 8, :44][None], "x": material[:, :46, 9][None]}


@pytest.fixture
def put(put_volume, three):
    def put(**changed):
        given, edges = three | changed.get("images", {}), EDGES | changed.get("edges", {})
        return {
            axis: put_volume(given[axis], "labels", edges[axis], key=key, stage="segment")
            for axis, key in zip("zyx", "bcd", strict=True)
        }

    return put


@pytest.fixture
def ask(make_params):
    def ask(refs, **changes):
        params = make_params(**{"mode": "anisotropic", "steps": 2, "eval_every": 2} | changes)
        call = MethodCall(method="slicegan", params=params.model_dump(mode="json"))
        planes = {axis: refs[axis] for axis in ("y", "x")}
        return SliceganTrainerRequest(run_id="r", plan="p", phases=PHASES, volume=refs["z"], planes=planes, use=(call,))

    return ask


def runs(image, axis):
    """Return the longest run of equal voxels along an axis of an image that is not at its border; 0 = no change."""
    line = np.moveaxis(image, axis, 0)[:, 0]
    changes = np.flatnonzero(np.diff(line))
    return int(np.diff(changes).max(initial=0))


def test_each_critic_sees_the_image_across_its_axis_with_rows_and_columns_as_stated(make_bench, put, make_params):
    bench, refs = make_bench("slicegan-trainer"), put()
    volumes = {axis: bench.volume(ref) for axis, ref in refs.items()}
    params = make_params(mode="anisotropic")
    images = images_of(cuts.loaded(volumes.pop("z"), volumes), 2, params)
    learner = SimpleNamespace(params=params, device="cpu")
    seen = {}
    for axes in axes_of(params):
        shown = real_slices(learner, images, axes, np.random.default_rng(0)).numpy()
        np.testing.assert_array_equal(shown.sum(axis=1), 1)
        (axis,) = axes
        seen[axis] = [(runs(image, 0), runs(image, 1)) for image in shown.argmax(axis=1)]
    assert set(seen["z"]) == {(5, 0)}, "rows are y, columns x, along which rods do not change"
    assert set(seen["y"]) == {(3, 0)}, "rows are z, columns x"
    assert set(seen["x"]) == {(3, 5)}, "rows are z, columns y"


def test_images_of_one_axis_never_reach_another(make_params):
    given = {axis: np.zeros((1, 20, 20), np.uint8) for axis in AXES}
    for number, axis in enumerate(AXES):
        given[axis][:] = number
        given[axis][0, ::2] = 3 - number
    volumes = {axis: given[axis] for axis in ("y", "x")}
    params = make_params(mode="anisotropic")
    images = images_of(cuts.loaded(given["z"], volumes), None, params)
    for number, axis in enumerate(AXES):
        drawn = images.draw(axis, 10, 16, np.random.default_rng(0))
        assert set(np.unique(drawn)) == {number, 3 - number}


def test_the_stage_trains_on_three_images_and_says_so_in_the_card(make_bench, put, ask):
    bench = make_bench("slicegan-trainer", workers=1)
    result = stage.run(ask(put()), bench)
    assert result.steps == 2
    card = Card.model_validate_json(bench.path("card.json").read_bytes())
    assert card.voxel_um == (0.3, 0.2, 0.1)
    assert card.data.shape is None and card.data.dtype == "uint8"
    assert card.data.fractions == pytest.approx({"pore": 0.5, "active_material": 0.5}, abs=0.02)
    assert json.loads(bench.path("history.json").read_text())["curves"]["wasserstein"]
    assert bench.path("slices.png").stat().st_size > 1000


def test_the_digest_of_the_data_tells_which_image_is_which(make_bench, put, ask, three, monkeypatch):
    monkeypatch.setattr(stage.page, "section", lambda *_: stage.page.Section(title="t", headline="h"))
    refs, digests = put(edges=dict.fromkeys("zyx", (1.0, 1.0, 1.0))), set()
    for key, swapped in (("a", refs), ("e", refs | {"y": refs["x"], "x": refs["y"]})):
        bench = make_bench("slicegan-trainer", key, workers=1)
        stage.run(ask(swapped), bench)
        digests.add(json.loads(bench.path("card.json").read_text())["data"]["sha256"])
    assert len(digests) == 2


def refused(ask, refs, bench, **changes):
    with pytest.raises(BadInput) as caught:
        stage.run(ask(refs, **changes), bench)
    return str(caught.value)


def test_pixels_that_differ_along_a_shared_axis_are_refused_with_both_sizes(make_bench, put, ask):
    text = refused(ask, put(edges={"x": (9.0, 0.3, 0.25)}), make_bench("slicegan-trainer"))
    assert text == (
        "slicegan-trainer: a pixel along y is 0.2 um in the images across z and 0.25 um in the images across x, wanted "
        "one size. Resample all to cubes in preprocess (resample: {voxel_um: 0.2}), or correct the size in the file."
    )


def test_how_far_images_of_a_stack_lie_apart_does_not_matter_and_rounding_neither():
    rounded = {"z": (5.0, 0.2, 0.1), "y": (7.0, 0.3, 0.1001), "x": (1.0, 0.3001, 0.2)}
    assert cuts.common_voxel_um(rounded) == (0.3, 0.2, 0.1)


def test_planes_for_isotropic_training_are_refused(make_bench, put, ask):
    text = refused(ask, put(), make_bench("slicegan-trainer"), mode="isotropic")
    assert "slicegan-trainer.mode is 'isotropic', wanted 'anisotropic'" in text


def test_an_image_smaller_than_the_patch_is_named_by_its_axis(make_bench, put, ask, three):
    small = put(images={"y": three["y"][:, :12]})
    text = refused(ask, small, make_bench("slicegan-trainer"))
    assert "slices across y are 12 x 44 voxels, wanted at least 16 x 16 (patch_edge). Set patch_edge to 8" in text


def test_a_phase_that_one_image_lacks_is_named_by_its_axis(make_bench, put, ask, three):
    text = refused(ask, put(images={"x": np.zeros_like(three["x"])}), make_bench("slicegan-trainer"))
    assert "training labels across x: only one phase is there, label 0" in text
