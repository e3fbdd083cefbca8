import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made import ALL, requests_in, result_of, waiting

from porelay_kit.broker.base import DeadLetter
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.cli import exit_code
from porelay_kit.runner.letters import Filter
from porelay_kit.runner.reconcile import reconcile
from porelay_kit.runner.state import REQUEST
from porelay_kit.runner.worker import Worker
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, BrokerUnavailable, StoreUnavailable, UnknownMethod
from porelay_schemas.route import STAGES


@pytest.fixture
def park(broker):
    """Return `park(state, stage="ingest", error=...)`: ask for a stage, park its message and note the failure."""

    def park(state, stage="ingest", error=BadInput("the stack is no stack")):  # noqa: B008
        reconcile(state.store, broker, [state.run_id])
        delivery = broker.get((stage,), 0)
        state.failed(stage, error)
        broker.park(delivery, error)
        return broker.dead_letters(stage)[-1]

    return park


@pytest.fixture
def three(command, make_run, park):
    """Three dead letters: two of ingest with different errors, one of preprocess."""
    first, second, third = make_run(1), make_run(2), make_run(3, ALL[:1])
    park(first)
    park(second, error=StoreUnavailable("no answer"))
    park(third, "preprocess")
    return first, second, third


def dead(broker):
    return [letter.id for stage in STAGES for letter in broker.dead_letters(stage)]


def test_looking_destroys_nothing_however_often(command, broker, three, tmp_path):
    before = dead(broker)
    for _ in range(30):
        assert len(command.json("dlq", "list")) == 3
        assert command("dlq", "show", before[0]).exit_code == 0
        assert command("dlq", "export", tmp_path / "letters").exit_code == 0
    assert dead(broker) == before and not waiting(broker)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), 3),
        (("--stage", "ingest"), 2),
        (("--stage", "ingest", "--stage", "preprocess"), 3),
        (("--error", "StoreUnavailable"), 1),
        (("--error", "*Un*"), 1),
        (("--older-than", "1h"), 0),
        (("--newer-than", "1h"), 3),
        (("--stage", "preprocess", "--error", "StoreUnavailable"), 0),
        (("--stage", "intake"), 0),
    ],
)
def test_filters_choose(command, three, words, found):
    assert len(command.json("dlq", "list", *words)) == found


def test_one_run_and_one_letter_are_found_by_name(command, broker, three):
    (letter,) = command.json("dlq", "list", "--run", three[1].run_id)
    assert letter["run_id"] == three[1].run_id and letter["error"] == "StoreUnavailable"
    assert command.json("dlq", "list", "--id", letter["id"]) == [letter]


def test_age_is_that_since_it_was_parked_and_one_of_unknown_age_is_never_meant():
    now = datetime.now(UTC)
    letter = DeadLetter("1", "ingest", b"{}", 1, "BadInput", "no", at=now - timedelta(hours=3))
    assert Filter(older_than=timedelta(hours=2)).holds(letter, now)
    assert not Filter(older_than=timedelta(hours=4)).holds(letter, now)
    assert Filter(newer_than=timedelta(hours=4)).holds(letter, now)
    assert not Filter(newer_than=timedelta(hours=2)).holds(letter, now)
    assert not Filter(newer_than=timedelta(hours=2)).holds(replace(letter, at=None), now)


def test_a_letter_is_shown_with_its_message_and_the_traceback_of_the_store(command, broker, three):
    shown = command.json("dlq", "show", dead(broker)[0])
    assert shown["body"]["stage"] == "ingest" and "BadInput: the stack is no stack" in shown["traceback"]
    assert "the stack is no stack" in command("dlq", "show", dead(broker)[0]).stdout
    with pytest.raises(BadInput, match="dead letter 'nothing': not there"):
        raise command("dlq", "show", "nothing").exception


def test_letters_are_exported_a_file_each_also_those_that_are_no_json(command, broker, three, tmp_path):
    broker.publish("segment", b"\xff poison")
    broker.park(broker.get(("segment",), 0), BadInput("no request"))
    paths = command.json("dlq", "export", tmp_path / "out")
    documents = [json.loads(Path(path).read_text()) for path in paths]
    assert len(documents) == 4 and documents[-1]["body"] == {"base64": "/yBwb2lzb24="}
    assert documents[0]["text"] == "the stack is no stack" and documents[0]["at"]


def test_a_replayed_letter_waits_as_a_first_attempt_and_its_run_waits_too(command, broker, three):
    first = three[0]
    answer = command.json("dlq", "replay", "--run", first.run_id)
    assert [letter["run_id"] for letter in answer["letters"]] == [first.run_id]
    assert waiting(broker) == [(first.run_id, "ingest")] and len(dead(broker)) == 2
    assert broker.get(("ingest",), 0).attempt == 1
    assert not first.failures() and three[1].failures()
    assert command.json("status", first.run_id)["stages"]["ingest"]["state"] == "waiting"


def test_a_dry_run_changes_nothing(command, broker, three):
    before = dead(broker)
    for verb in ("replay", "drop"):
        answer = command.json("dlq", verb, "--all", "--dry-run")
        assert answer["dry_run"] and len(answer["letters"]) == 3
    assert dead(broker) == before and not waiting(broker) and three[0].failures()


def test_dropped_letters_are_gone_and_their_runs_keep_the_failure(command, broker, three):
    assert "2 dead letters dropped" in command("dlq", "drop", "--stage", "ingest").stdout
    assert len(dead(broker)) == 1 and not waiting(broker) and three[0].failures()


@pytest.mark.parametrize("verb", ["replay", "drop"])
def test_all_of_them_are_meant_only_where_it_is_said(command, broker, three, verb):
    with pytest.raises(BadInput, match="For all, say --all"):
        raise command("dlq", verb).exception
    assert len(dead(broker)) == 3
    assert command("dlq", verb, "--all").exit_code == 0 and not dead(broker)


def test_the_rate_is_kept(command, broker, three):
    began = time.monotonic()
    command("dlq", "replay", "--all", "--rate", "20/s")
    assert 0.1 <= time.monotonic() - began < 5 and len(waiting(broker)) == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [(("--older-than", "soon"), "30min or 2d"), (("--rate", "0/s"), "such as 5/s"), (("--stage", "polish"), "polish")],
)
def test_options_that_make_no_sense_are_usage_errors(command, words, text):
    done = command("dlq", "replay", *words)
    assert done.exit_code == 2 and text in done.stderr


def test_a_patched_letter_asks_with_the_other_parameter(command, broker, three):
    third = three[2]
    command.json("dlq", "replay", "--stage", "preprocess", "--set", "preprocess.sigma_voxels=2")
    (request,) = requests_in(broker, "preprocess")
    assert request.use[0].params["sigma_voxels"] == [2.0, 2.0, 2.0]
    noted = REQUEST.validate_json(third.store.read(f"{third.prefix}/requests/preprocess.json"))
    assert noted == request and third.plan().stages["preprocess"].use[0].params["sigma_voxels"] != [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ("preprocess.sigma=2", BadInput, "no parameter is called 'sigma'"),
        ("preprocess.sigma_voxels=-3", BadInput, "Correct it in the plan or with --set"),
        ("preprocess.medan.size=3", BadInput, "name one of them"),
        ("segment.classes=3", BadInput, "is of 'preprocess', got a change for 'segment'"),
        ("preprocess", BadInput, "is of 'preprocess'|wanted stage.param=value"),
    ],
)
def test_a_patch_is_checked_as_a_plans_change_before_anything_is_sent(command, broker, three, change, error, text):
    done = command("dlq", "replay", "--stage", "preprocess", "--set", change)
    with pytest.raises(error, match=text):
        raise done.exception
    assert len(dead(broker)) == 3 and not waiting(broker) and three[2].failures()


def test_what_follows_a_patched_stage_works_on_what_it_gave(command, broker, three):
    third, seen = three[2], []

    def do(request, *others):
        seen.append(request)
        key = "b" if request.stage == "preprocess" else "a"
        return result_of(request.run_id, request.stage, key)

    command("dlq", "replay", "--run", third.run_id, "--set", "preprocess.sigma_voxels=2")
    worker = Worker(tuple(STAGES), broker, third.store, Settings(home=third.store.home), do=do)
    while delivery := broker.get(tuple(STAGES), 0):
        worker.handle(delivery)
    assert third.ended() and third.results()["preprocess"].artifact.key == "b" * 64
    segment = next(request for request in seen if request.stage == "segment")
    assert segment.volume.prefix == f"artifacts/preprocess/{'b' * 64}"
    assert not reconcile(third.store, MemoryBroker(STAGES), [third.run_id]).asked


def test_a_letter_that_is_no_request_is_replayed_as_it_is_but_not_patched(command, broker, store):
    broker.publish("segment", b"{not json")
    broker.park(broker.get(("segment",), 0), UnknownMethod("no"))
    with pytest.raises(BadInput, match="holds no request of this version"):
        raise command("dlq", "replay", "--all", "--set", "segment.classes=2").exception
    assert command("dlq", "replay", "--all").exit_code == 0
    assert broker.waiting("segment") == [b"{not json"]


def test_a_run_that_was_cancelled_is_pointed_out(command, three):
    three[0].cancel()
    assert f"{three[0].run_id} is cancelled" in command("dlq", "replay", "--stage", "ingest").stderr


def test_nothing_to_do_is_no_error(command):
    assert "0 dead letters sent again" in command("dlq", "replay", "--all").stdout


def test_a_broker_that_does_not_answer_is_exit_code_3(command, monkeypatch):
    def dead(settings):
        raise BrokerUnavailable("no answer")

    monkeypatch.setattr("porelay_kit.cli.servers.open_broker", dead)
    error = command("dlq", "list").exception
    assert isinstance(error, BrokerUnavailable) and exit_code(error) == 3
