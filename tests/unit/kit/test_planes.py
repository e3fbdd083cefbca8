"""Separate images belong to what a run is, and to the key of what is made from them, wherever they lie."""

import numpy as np
import pytest
from click.testing import CliRunner

from porelay_kit import figures, planning
from porelay_kit.cli import porelay
from porelay_kit.runner.state import stack_ref, start
from porelay_kit.runner.step import content_key
from porelay_schemas import relay
from porelay_schemas.errors import BadInput

ANISOTROPIC = ["slicegan-trainer.mode=anisotropic"]


@pytest.fixture
def files(tmp_path):
    for name in "zyxw":
        (tmp_path / f"{name}.tif").write_bytes(name.encode())
    return {name: stack_ref(tmp_path / f"{name}.tif") for name in "zyxw"}


def run_of(store, files, **planes):
    plan = planning.load("electrode-quick", ANISOTROPIC)
    return start(store, plan, files["z"], None, planes)


def test_planes_make_another_run_and_the_same_ones_the_same_run(store, files):
    bare = run_of(store, files)
    both = run_of(store, files, y=files["y"], x=files["x"])
    assert len({bare.run_id, both.run_id, run_of(store, files, y=files["y"], x=files["w"]).run_id}) == 3
    assert run_of(store, files, x=files["x"], y=files["y"]).run_id == both.run_id
    assert run_of(store, files, y=files["x"], x=files["y"]).run_id != both.run_id
    assert both.run().planes == {"y": files["y"], "x": files["x"]}


def test_a_plane_enters_the_key_by_its_content_and_not_by_its_place(store, files):
    def key(**planes):
        state = run_of(store, files, **planes)
        return content_key(relay.request_for("ingest", state.run(), state.plan(), {}), ())

    moved = files["y"].model_copy(update={"uri": "file:///elsewhere/other.tif", "name": "other.tif"})
    same = key(y=files["y"], x=files["x"])
    assert key(y=moved, x=files["x"]) == same
    assert len({same, key(), key(y=files["x"], x=files["y"]), key(y=files["w"], x=files["x"])}) == 4


def test_planes_that_the_plan_cannot_use_are_refused_before_anything_is_written(store, files):
    with pytest.raises(BadInput, match=r"slicegan-trainer\.mode is 'isotropic', wanted 'anisotropic'"):
        start(store, planning.load("electrode-quick"), files["z"], None, {"y": files["y"], "x": files["x"]})
    with pytest.raises(BadInput, match="plan 'measure' has no stage 'slicegan-trainer'"):
        start(store, planning.load("measure"), files["z"], None, {"y": files["y"], "x": files["x"]})
    assert not list(store.list("runs")) and not list(store.list("plans"))


def test_the_command_line_says_how_the_images_lie():
    told = " ".join(CliRunner().invoke(porelay, ["run", "--help"]).output.split())
    assert "--plane AXIS=FILE" in told
    assert "y=FILE, images across y with rows along z and columns along x" in told
    assert "x=FILE, images across x with rows along z and columns along y" in told


def test_the_picture_of_a_plane_names_its_axes():
    panel = figures.plane_panel("before", np.arange(24).reshape(3, 2, 4), "x")
    assert panel.title == "before (y →  z ↓)"
    np.testing.assert_array_equal(panel.image, np.arange(8, 16).reshape(2, 4))
