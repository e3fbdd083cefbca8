import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from porelay_schemas import relay
from porelay_schemas.manifest import Run
from porelay_schemas.messages import AnyResult
from porelay_schemas.plan import Plan, voxel_um
from porelay_schemas.route import STAGES
from porelay_schemas.volumes import StackRef

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"
RESULTS = {
    document["stage"]: TypeAdapter(AnyResult).validate_python(document)
    for document in (json.loads(path.read_text()) for path in GOLDEN.glob("*Result.v1.json"))
}
PHASES = [{"name": "pore", "colour": "#000000"}, {"name": "solid", "colour": "#ffffff"}]


def plan(**stages):
    return Plan(name="p", phases=PHASES, stages={name.replace("_", "-"): use for name, use in stages.items()})


FULL = plan(**{name: [] for name in STAGES})


def run():
    stack = StackRef(uri="file:///s.tif", name="s.tif", sha256="0" * 64, size_bytes=1)
    return Run(run_id="r", stack=stack, plan="1" * 64, plan_name="p", created="2026-01-01T00:00:00Z")


def done(*names):
    return {name: RESULTS[name] for name in names}


def test_a_run_begins_with_ingest_and_ends_when_all_is_done():
    assert relay.ready(FULL, {}) == ["ingest"]
    assert relay.ready(FULL, done(*STAGES)) == []


def test_metrics_wait_for_the_real_and_the_generated_volumes():
    ready = relay.ready(FULL, done("ingest", "preprocess", "segment", "slicegan-trainer"))
    assert ready == ["sampler", "mesher"]
    assert "metrics" in relay.ready(FULL, done("ingest", "preprocess", "segment", "slicegan-trainer", "sampler"))


def test_without_a_generator_metrics_follow_segmentation():
    short = plan(ingest=[], segment=[], metrics=[])
    assert relay.ready(short, done("ingest", "segment")) == ["metrics"]
    request = relay.request_for("metrics", run(), short, done("ingest", "segment"))
    assert request.real == RESULTS["segment"].labels and request.generated == ()


def test_the_mesher_takes_what_the_plan_says():
    meshed = plan(ingest=[], segment=[], slicegan_trainer=[], sampler=[], mesher={"after": ["sampler"], "use": []})
    results = done("ingest", "segment", "slicegan-trainer", "sampler")
    assert relay.request_for("mesher", run(), meshed, results).volume == RESULTS["sampler"].volumes[0]
    assert "mesher" not in relay.ready(meshed, done("ingest", "segment"))


def test_segmentation_of_labels_makes_ingest_read_labels():
    labels = plan(ingest=[], segment=["labels"])
    assert relay.request_for("ingest", run(), labels, {}).stack_kind == "labels"
    assert relay.request_for("ingest", run(), FULL, {}).stack_kind == "grey"


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_stage_is_asked_with_the_run_and_its_own_plan(stage):
    request = relay.request_for(stage, run(), FULL, done(*STAGES))
    assert (request.stage, request.run_id, request.plan) == (stage, "r", "1" * 64)
    assert request.phases == FULL.phases


@pytest.mark.parametrize(("text", "size"), [("0.05", (0.05, 0.05, 0.05)), ("0.1,0.05,0.05", (0.1, 0.05, 0.05))])
def test_a_voxel_size_is_one_number_or_three(text, size):
    assert voxel_um(text) == size


@pytest.mark.parametrize("text", ["", "a", "0", "-1", "1,2", "nan", "1,2,3,4"])
def test_anything_else_is_no_voxel_size(text):
    with pytest.raises(ValueError, match=r"voxel size|could not convert"):
        voxel_um(text)
