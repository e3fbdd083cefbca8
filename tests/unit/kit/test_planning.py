import pytest

from porelay_kit import planning
from porelay_schemas.errors import BadInput, UnknownMethod

PLAN = """
name: mine
seed: 5
phases:
  - {name: pore, colour: "#111111"}
  - {name: active_material, colour: "#eeeeee"}
stages:
  ingest: []
  preprocess: [{median: {size: 3}}, gaussian]
  segment: [otsu]
"""


@pytest.fixture
def plan(tmp_path):
    def write(text=PLAN):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", planning.shipped())
def test_a_shipped_plan_is_good_explained_and_commented(name):
    plan = planning.load(name)
    assert plan.name == name and len(plan.about) > 20
    assert planning.text(name).count("#") > 8


def test_the_shipped_plans_are_the_promised_ones():
    assert {"electrode", "electrode-quick", "labels", "measure"} <= set(planning.shipped())


def test_every_parameter_is_explicit_and_the_seed_is_filled_in():
    plan = planning.load("electrode-quick", seed=42)
    (trainer,) = plan.stages["slicegan-trainer"].use
    assert trainer.params["seed"] == 42
    assert len(trainer.params) > 5


def test_an_explicit_plan_written_as_yaml_is_the_same_plan(plan, tmp_path):
    first = planning.load(plan())
    again = plan(planning.dump(first))
    assert planning.load(again).digest() == first.digest()


def test_a_parameter_is_changed_by_stage_or_by_stage_and_method(plan):
    changed = planning.load(plan(), ["preprocess.median.size=5", "segment.smooth_sigma_voxels=0.7"])
    assert changed.stages["preprocess"].use[0].params["size"] == 5
    assert changed.stages["segment"].use[0].params["smooth_sigma_voxels"] == 0.7


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("segment", "wanted stage.param=value"),
        ("polish.size=3", "no stage 'polish'"),
        ("preprocess.size=5", r"uses \['median', 'gaussian'\]; name one of them"),
        ("preprocess.median.sise=5", r"preprocess.median: no parameter is called 'sise'. Did you mean 'size'\?"),
        ("preprocess.median.size=4000", r"preprocess.median.size \(.+\): got 4000, .* Correct it"),
        ("preprocess.median.size=big", r"preprocess.median.size .*got 'big'"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(plan, change, text):
    with pytest.raises(BadInput, match=text):
        planning.load(plan(), [change])


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("otsu", "otsuu", r"segmenter: no method is called 'otsuu'. Did you mean 'otsu'\?"),
        ("  segment:", "  segmnt:", r"no stage is called 'segmnt'. Did you mean 'segment'\?"),
        ("seed: 5", "sed: 5", r"sed: not known here. Did you mean 'seed'\?"),
        ("#111111", "black", r"phases.0.colour"),
        ("active_material", "pore", "names must differ"),
        ("  ingest: []", "", "a plan begins with 'ingest'"),
        ("name: mine", "name: [", "not YAML"),
    ],
)
def test_a_plan_that_is_wrong_says_where_and_what_is_near(plan, old, new, text):
    with pytest.raises((BadInput, UnknownMethod), match=text):
        planning.load(plan(PLAN.replace(old, new)))


def test_all_problems_are_told_at_once(plan):
    with pytest.raises(BadInput) as caught:
        planning.load(plan(PLAN.replace("size: 3", "size: 4000").replace("otsu", "otsuu")))
    assert "4000" in str(caught.value) and "otsuu" in str(caught.value)


def test_a_stage_that_nothing_feeds_is_refused(plan):
    with pytest.raises(BadInput, match=r"stages.sampler: nothing feeds it. Add one of: slicegan-trainer"):
        planning.load(plan(PLAN + "  sampler: [slicegan]\n"))


def test_a_feeder_that_is_not_there_is_refused(plan):
    with pytest.raises(BadInput, match=r"stages.mesher.after: 'sampler' is not in this plan"):
        planning.load(plan(PLAN + "  mesher: {after: [sampler], use: [conformal]}\n"))


def test_a_plan_that_is_not_there_suggests_the_nearest():
    with pytest.raises(BadInput, match=r"Did you mean 'electrode-quick'\?"):
        planning.load("electrode-quik")
