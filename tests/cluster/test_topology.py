"""`porelay topology` on real servers: what is missing, what was done, and that a second time nothing is."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
from click.testing import CliRunner, Result

from porelay_kit.broker.management import Management
from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.cli.topology import topology
from porelay_kit.doctor import bucket as bucket_doctor
from porelay_kit.settings import Settings
from porelay_kit.store.wire import Wire

Run = Callable[..., Result]


@pytest.fixture
def vhost(rabbit) -> str:
    return rabbit.new_vhost(topology=False)


@pytest.fixture
def run(rabbit, vhost: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PORELAY_AMQP_URL", vhost)
    monkeypatch.setenv("PORELAY_AMQP_MANAGEMENT_URL", rabbit.management_url)
    return lambda *words: CliRunner().invoke(topology, [str(word) for word in words])


def marks(result: Result) -> dict[str, int]:
    found = json.loads(result.output)
    steps = found["steps"] if isinstance(found, dict) else found
    return {mark: sum(step["mark"] == mark for step in steps) for mark in "+~=!-"}


def channel_of(vhost: str) -> Any:
    return closing(pika.BlockingConnection(pika.URLParameters(vhost)))


def test_a_second_apply_changes_nothing_and_says_so(run: Run) -> None:
    planned, checked = marks(run("plan", "--json")), run("check")
    assert planned["+"] > 50 and sum(planned.values()) == planned["+"]
    assert checked.exit_code == 1 and "+ queue segment.v1 (quorum)" in checked.output
    assert marks(run("apply", "--json")) == planned
    again = run("apply")
    assert again.exit_code == 0
    assert again.output.splitlines()[-1] == f"{planned['+']} things, all as wanted"
    assert run("check").output == "nothing is missing\n"


def test_what_is_different_is_changed_or_the_road_to_mend_it_is_told(rabbit, run: Run, vhost: str) -> None:
    management, name = Management(rabbit.management_url), urlsplit(vhost).path[1:]
    with channel_of(vhost) as connection:
        connection.channel().queue_declare("segment.v1", durable=True)
    run("apply")
    policy = management.get("policies", name, "training")
    management.put(policy | {"definition": {"delivery-limit": 3}}, "policies", name, "training")
    steps = {step["what"]: step for step in json.loads(run("plan", "--json").output)["steps"] if step["mark"] != "="}
    assert [step["mark"] for step in steps.values()] == ["!", "~"]
    road = steps["queue segment.v1 (quorum)"]["road"]
    assert "classic" in road or '{"durable": true}' in road
    assert "rabbitmqctl delete_queue --if-empty" in road
    applied = run("apply")
    assert applied.exit_code == 1 and "1 changed" in applied.output
    assert management.get("policies", name, "training")["definition"] == policy["definition"]


def test_an_exchange_of_another_kind_is_told_with_the_command_for_this_server_that_deletes_it(
    rabbit, run: Run, vhost: str
) -> None:
    name = urlsplit(vhost).path[1:]
    Management(rabbit.management_url).put({"type": "fanout", "durable": True}, "exchanges", name, "work")
    steps = {step["what"]: step for step in json.loads(run("plan", "--json").output)["steps"]}
    road = steps["exchange work (direct)"]["road"]
    flag = "--name work" if rabbit.version >= (4, 3) else "name=work"
    assert "It is fanout, durable" in road and f"`rabbitmqadmin -V {name} delete exchange {flag}`" in road


def test_a_policy_of_somebody_else_that_wins_is_told(rabbit, run: Run, vhost: str) -> None:
    run("apply")
    strange = {"pattern": "^segment", "definition": {"max-length": 3}, "priority": 9, "apply-to": "queues"}
    Management(rabbit.management_url).put(strange, "policies", urlsplit(vhost).path[1:], "strange")
    checked = run("check")
    assert "queue segment.v1 may obey the policy 'strange', which is not ours" in checked.output
    assert "rabbitmqctl clear_policy" in checked.output


def test_without_the_http_interface_queues_are_made_and_commands_for_policies_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORELAY_AMQP_MANAGEMENT_URL")
    first, second = run("apply"), run("apply")
    assert "+ queue segment.v1" in first.output and "= queue segment.v1" in second.output
    assert "rabbitmqctl set_policy -p" in second.output and "PORELAY_AMQP_MANAGEMENT_URL" in second.output
    assert second.exit_code == 1
    checked = run("check")
    assert checked.exit_code == 0 and "policy work" in checked.output


def test_no_server_is_unreachable_and_no_address_is_bad_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORELAY_AMQP_URL", "amqp://guest:hidden@127.0.0.1:9/")
    assert type(run("plan").exception).__name__ == "BrokerUnavailable"
    monkeypatch.delenv("PORELAY_AMQP_URL")
    error = run("plan").exception
    assert type(error).__name__ == "BadInput" and "PORELAY_AMQP_URL" in str(error)


def test_the_bucket_is_made_and_tells_the_broker_of_drops(
    rabbit, ceph, run: Run, vhost: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"{ceph.url}/made-by-apply-{time.time_ns()}"
    monkeypatch.setenv("PORELAY_S3_URL", url)
    monkeypatch.setenv("PORELAY_S3_ACCESS_KEY", ceph.access_key)
    monkeypatch.setenv("PORELAY_S3_SECRET_KEY", ceph.secret_key)
    without_user = ceph.broker_url(vhost)
    refused = run("apply", "--notify-url", vhost)
    assert refused.exit_code == 1 and "takes no password" in refused.output
    left_out = run("apply")
    assert left_out.exit_code == 0 and "- notification of drops" in left_out.output
    assert run("apply", "--notify-url", without_user).exit_code == 0
    assert marks(run("apply", "--notify-url", without_user, "--json"))["="] == marks(run("plan", "--json"))["="]
    keys = {"s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    settings = Settings(s3_url=url, cache=tmp_path, **keys)
    found = {one.probe: one.answer for one in bucket_doctor.check(settings)}
    assert found["notifications"].seen == "drops are told to the exchange 'ingest'"
    wire = Wire.open(settings)
    for key in ("runs/r/run.json", "inbox/electrode/stack.tif"):
        wire.ask("PUT", key, body=b"x").checked()
    with closing(RabbitBroker(vhost)) as broker:
        delivery = broker.get(("intake",), 10)
        broker.ack(delivery)
    assert json.loads(delivery.body)["Records"][0]["s3"]["object"]["key"] == "inbox/electrode/stack.tif"


def test_the_files_are_written_without_any_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PORELAY_AMQP_URL", "PORELAY_S3_URL"):
        monkeypatch.delenv(name, raising=False)
    first = CliRunner().invoke(topology, ["plan", "--out", str(tmp_path)])
    assert first.exit_code == 0, first.output
    definitions = json.loads((tmp_path / "rabbitmq" / "definitions.json").read_text())
    assert {"queues", "exchanges", "bindings", "policies", "users", "permissions"} <= set(definitions)
    second = CliRunner().invoke(topology, ["plan", "--out", str(tmp_path)])
    assert second.output.splitlines()[-1] == f"{tmp_path}: all files are as wanted"
