"""The stage on a bench: what it writes, how it goes on after a kill, what ends it, what it refuses."""

import itertools
import json

import numpy as np
import pytest

from porelay_kit.bench import Control
from porelay_nets import weights
from porelay_nets.card import Card
from porelay_schemas.errors import BadInput, SliceOver, Stopped, TooLarge
from porelay_schemas.messages import SliceganTrainerRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.section import Section
from porelay_slicegan_trainer import checkpoints, stage
from porelay_slicegan_trainer.page import effort

PHASES = (Phase(name="pore", colour="#202020"), Phase(name="active_material", colour="#c0c0c0"))


@pytest.fixture
def ask(make_params):
    def ask(volume, **changes):
        call = MethodCall(method="slicegan", params=make_params(**changes).model_dump(mode="json"))
        return SliceganTrainerRequest(run_id="r", plan="p", phases=PHASES, volume=volume, use=(call,))

    return ask


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(stage.page, "section", lambda *_: Section(title="t", headline="h"))


class Ending:
    """Says yes from the n-th time on that it is asked."""

    def __init__(self, after):
        self.after = after

    def __call__(self):
        self.after -= 1
        return self.after < 0


def files(bench):
    return {ref.name: ref.sha256 for ref in bench.files()}


def test_the_stage_writes_weights_card_history_and_a_page(material, make_bench, put_volume, ask):
    volume = put_volume(material, "labels", (0.1, 0.1, 0.1), stage="segment")
    bench = make_bench("slicegan-trainer", workers=1)
    result = stage.run(ask(volume), bench)
    assert (result.steps, result.stopped_by) == (20, "budget")
    card = Card.model_validate_json(bench.path("card.json").read_bytes())
    assert card.voxel_um == (0.1, 0.1, 0.1)
    assert card.weights_sha256 == result.weights.sha256
    assert card.phases == PHASES
    assert card.data.fractions == pytest.approx({"pore": 0.5, "active_material": 0.5}, abs=0.01)
    assert (card.training.steps, card.training.threads, card.training.seed) == (20, 1, 0)
    weights.generator(bench.path("generator.safetensors"), card.architecture)
    history = json.loads(bench.path("history.json").read_text())
    assert len(history["curves"]["wasserstein"]) == 20
    assert [one["step"] for one in history["comparisons"]] == [10, 20]
    section = Section.model_validate_json(bench.path("section.json").read_bytes())
    assert "the budget of steps was spent" in section.headline
    for name in ("slices.png", "wasserstein.svg", "penalty.svg", "s2_error.svg", "fraction_error.svg", "s2.svg"):
        assert bench.path(name).stat().st_size > 500, name


def killed(at):
    """A progress that kills its stage before what was learned in step `at` is kept."""

    def progress(done, total, **figures):
        if done == at:
            raise KeyboardInterrupt

    return progress


def test_a_killed_training_goes_on_and_ends_with_the_same_files(material, make_bench, put_volume, ask, no_pictures):
    volume = put_volume(material, "labels", stage="segment")
    unbroken = make_bench("slicegan-trainer", workers=1)
    stage.run(ask(volume), unbroken)
    for at, left in ((0, []), (7, [5]), (10, [5]), (18, [10, 15])):
        bench = make_bench("slicegan-trainer", "c", workers=1)
        bench.progress = killed(at)
        with pytest.raises(KeyboardInterrupt):
            stage.run(ask(volume), bench)
        assert [path.name for path in sorted(bench.scratch.glob("*"))] == [f"step-{n:09d}.safetensors" for n in left]
    last = make_bench("slicegan-trainer", "c", workers=1)
    stage.run(ask(volume), last)
    assert files(last) == files(unbroken)


def test_a_training_in_slices_ends_with_the_same_files_as_one_at_once(
    material, make_bench, put_volume, ask, no_pictures
):
    volume = put_volume(material, "labels", stage="segment")
    unbroken = make_bench("slicegan-trainer", workers=1)
    stage.run(ask(volume), unbroken)
    every_seventh = itertools.cycle([False] * 6 + [True])
    for key, control, slices in (
        ("c", Control(slice_s=1e-9), 20),
        ("d", Control(leaving=lambda: next(every_seventh)), 4),
    ):
        done = 0
        while done < slices:
            bench = make_bench("slicegan-trainer", key, workers=1, control=control)
            done += 1
            if done == slices:
                stage.run(ask(volume), bench)
            else:
                with pytest.raises(SliceOver, match=r"saved after step \d+ of 20"):
                    stage.run(ask(volume), bench)
        assert files(bench) == files(unbroken)


def test_a_slice_makes_one_step_at_least_and_keeps_it(material, make_bench, put_volume, ask, no_pictures):
    volume = put_volume(material, "labels", stage="segment")
    for step in (1, 2, 3):
        bench = make_bench("slicegan-trainer", workers=1, control=Control(leaving=lambda: True))
        with pytest.raises(SliceOver, match=f"after step {step} of 20"):
            stage.run(ask(volume), bench)
        assert sorted(bench.scratch.glob("step-*"))[-1].name == f"step-{step:09d}.safetensors"


def test_checkpoints_are_also_kept_by_the_clock_and_survive_the_machine(
    material, make_bench, put_volume, ask, no_pictures
):
    volume = put_volume(material, "labels", stage="segment")
    bench = make_bench("slicegan-trainer", workers=1)
    kept = []
    bench._store.keep_scratch = lambda prefix: kept.append(
        sorted(path.name for path in bench.scratch.glob("step-*"))[-1]
    )
    bench._keep_every_s = 0.0
    stage.run(ask(volume, steps=3, checkpoint_every=100), bench)
    assert kept == [f"step-{step:09d}.safetensors" for step in (1, 2, 3)]


def test_seconds_count_the_slices_before(material, make_bench, put_volume, ask, no_pictures):
    bench = make_bench("slicegan-trainer", workers=1)
    (bench.scratch / ".seconds").write_text("3600")
    bench = make_bench("slicegan-trainer", workers=1)
    result = stage.run(ask(put_volume(material, "labels", stage="segment"), steps=2), bench)
    assert 3600 < result.seconds < 3660


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(material, make_bench, put_volume, ask, no_pictures):
    bench = make_bench("slicegan-trainer", workers=1)
    stage.run(ask(put_volume(material, "labels", stage="segment"), steps=10), bench)
    newest = bench.scratch / "step-000000010.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    (bench.scratch / "step-000000015.tmp").write_bytes(b"half")
    record = json.loads(bytes(checkpoints.newest(bench.scratch)["record"].numpy()))
    assert record["step"] == 5


def test_a_command_ends_the_training_with_what_has_been_learned(material, make_bench, put_volume, ask, no_pictures):
    bench = make_bench("slicegan-trainer", workers=1, control=Control(finish=Ending(4)))
    result = stage.run(ask(put_volume(material, "labels", stage="segment")), bench)
    assert (result.steps, result.stopped_by) == (4, "command")
    assert bench.path("generator.safetensors").exists()


def test_a_cancelled_training_keeps_where_it_was(material, make_bench, put_volume, ask):
    bench = make_bench("slicegan-trainer", workers=1, control=Control(cancelled=Ending(1)))
    bench._told = -1e9

    def progress(done, total, **figures):
        if done == 3:
            raise Stopped("cancelled")

    bench.progress = progress
    with pytest.raises(Stopped):
        stage.run(ask(put_volume(material, "labels", stage="segment")), bench)
    assert [path.name for path in bench.scratch.glob("*")] == ["step-000000003.safetensors"]


def test_a_grey_volume_trains_a_grey_generator(make_bench, put_volume, ask, rng):
    grey = rng.integers(0, 60000, (20, 20, 20), dtype=np.uint16)
    bench = make_bench("slicegan-trainer", workers=1)
    stage.run(ask(put_volume(grey), steps=3), bench)
    card = Card.model_validate_json(bench.path("card.json").read_bytes())
    assert card.architecture.kind == "grey"
    assert card.phases == ()
    assert list(card.data.fractions) == [f"grey quarter {index}" for index in (1, 2, 3, 4)]


def test_a_volume_smaller_than_the_patch_is_refused(make_bench, put_volume, ask, make_blobs):
    volume = put_volume(make_blobs((12, 20, 20), scale=1.0), "labels", stage="segment")
    with pytest.raises(BadInput, match="smaller than the network's patch"):
        stage.run(ask(volume), make_bench("slicegan-trainer", workers=1))


def test_a_training_that_does_not_fit_is_refused_before_anything_is_read(material, make_bench, put_volume, ask):
    bench = make_bench("slicegan-trainer", max_memory_bytes=2**26)
    with pytest.raises(TooLarge, match=r"slicegan-trainer: training on this volume needs \d+ MiB .* limit is 64 MiB"):
        stage.run(ask(put_volume(material, "labels", stage="segment")), bench)


def test_the_report_says_how_far_a_short_training_went(make_params):
    text = effort(make_params(), 20)
    assert "20 generator steps of 2 volumes, 0.0069 % of the volumes of the full schedule (72,000 steps of 8)" in text
    assert "not of a quality to publish" in text
