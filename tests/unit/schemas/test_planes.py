"""Separate images across y and x: how they are given, refused, and carried from stage to stage."""

import pytest

from porelay_schemas import planes, relay
from porelay_schemas.errors import BadInput, TooLarge
from porelay_schemas.manifest import Run
from porelay_schemas.messages import IngestResult, PreprocessResult, SegmentResult
from porelay_schemas.plan import Plan
from porelay_schemas.volumes import ArtifactRef, StackRef, VolumeRef

PHASES = [{"name": "pore", "colour": "#000000"}, {"name": "solid", "colour": "#ffffff"}]
TRAINED = {"slicegan-trainer": [{"slicegan": {"mode": "anisotropic"}}]}


def plan(**stages):
    return Plan(name="p", phases=PHASES, stages={"ingest": []} | stages)


def refused(function, *arguments):
    with pytest.raises(BadInput) as caught:
        function(*arguments)
    return str(caught.value)


def test_planes_are_read_in_the_order_of_the_axes_and_a_file_may_hold_an_equals_sign():
    assert planes.parse(["x=b=c.tif", "y=a.tif"]) == {"y": "a.tif", "x": "b=c.tif"}
    assert planes.parse([]) == {}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["z=a.tif"], "--plane 'z=a.tif': the images across z are STACK itself. Give --plane y=FILE and"),
        (["a.tif"], "--plane 'a.tif': wanted an axis and a file, y=FILE or x=FILE."),
        (["y="], "--plane 'y=': wanted an axis and a file"),
        (["xy=a.tif"], "--plane 'xy=a.tif': wanted an axis and a file"),
        (["y=a.tif", "y=b.tif"], "--plane 'y=b.tif': axis y has 'a.tif' already, wanted one file an axis."),
    ],
)
def test_anything_else_is_no_plane(words, text):
    assert text in refused(planes.parse, words)


def test_planes_want_both_axes_and_a_plan_that_trains_anisotropically():
    good = plan(**TRAINED)
    planes.check(good, ("y", "x"))
    planes.check(plan(), ())
    assert "--plane: there are images across y but none across x. Give" in refused(planes.check, good, ("y",))
    assert "plan 'p' has no stage 'slicegan-trainer'. Leave --plane out" in refused(planes.check, plan(), ("y", "x"))
    isotropic = plan(**{"slicegan-trainer": [{"slicegan": {"mode": "isotropic"}}]})
    assert (
        "slicegan-trainer.mode is 'isotropic', wanted 'anisotropic', which has a critic for each axis. "
        "Add --set slicegan-trainer.mode=anisotropic, or leave --plane out."
    ) in refused(planes.check, isotropic, ("y", "x"))


def test_edges_in_the_frame_of_a_plane_begin_with_the_axis_it_lies_across():
    assert planes.own_edges((3.0, 2.0, 1.0), "y") == (2.0, 3.0, 1.0)
    assert planes.own_edges((3.0, 2.0, 1.0), "x") == (1.0, 3.0, 2.0)


def test_an_error_about_a_plane_begins_with_it_and_stays_of_its_kind():
    def work(axis, size):
        if size > 1:
            raise TooLarge("needs 5 GiB.")
        return 10 * size

    assert planes.each({"y": 0, "x": 1}, work) == {"y": 0, "x": 10}
    with pytest.raises(TooLarge, match=r"^plane x \(slices across x, rows along z, columns along y\): needs 5 GiB\.$"):
        planes.each({"y": 0, "x": 2}, work)


def volume(name):
    return VolumeRef(
        prefix="artifacts/s/0", name=name, kind="grey", shape=(1, 8, 8), dtype="uint8", voxel_um=(1.0, 1.0, 1.0)
    )


def result(stage, model, **more):
    found = {axis: volume(f"{stage}_{axis}.zarr") for axis in ("y", "x")}
    return model(run_id="r", artifact=ArtifactRef(stage=stage, key="0" * 64), seconds=0, planes=found, **more)


RESULTS = {
    "ingest": result("ingest", IngestResult, volume=volume("a.zarr")),
    "preprocess": result("preprocess", PreprocessResult, volume=volume("b.zarr")),
    "segment": result("segment", SegmentResult, labels=volume("c.zarr"), fractions={}),
}


@pytest.mark.parametrize(
    ("between", "feeder"),
    [
        (("preprocess", "segment"), "segment"),
        (("segment",), "segment"),
        (("preprocess",), "preprocess"),
        ((), "ingest"),
    ],
)
def test_planes_travel_from_stage_to_stage_whichever_the_plan_has(between, feeder):
    chosen = plan(**{name: [] for name in between}, **TRAINED)
    stack = StackRef(uri="file:///s.tif", name="s.tif", sha256="0" * 64, size_bytes=1)
    run = Run(
        run_id="r", stack=stack, planes={"y": stack, "x": stack}, plan="1" * 64, plan_name="p",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip
    assert relay.request_for("ingest", run, chosen, {}).planes == {"y": stack, "x": stack}
    at = "ingest"
    for stage in (*between, "slicegan-trainer"):
        assert relay.request_for(stage, run, chosen, RESULTS).planes == RESULTS[at].planes
        at = stage
    assert relay.request_for("slicegan-trainer", run, chosen, RESULTS).planes["y"].name == f"{feeder}_y.zarr"
