"""The doctor on real servers: they pass, nothing is left behind, and what is wrong with them is said."""

from contextlib import closing

import pika
import pytest
from pydantic import SecretStr

from porelay_kit.broker.management import Management
from porelay_kit.doctor import broker, bucket, nodes
from porelay_kit.doctor.finding import Answer, Finding
from porelay_kit.settings import Settings


def answers(findings: list[Finding]) -> dict[str, Answer]:
    return {finding.probe: finding.answer for finding in findings}


@pytest.fixture
def bucket_settings(ceph) -> Settings:
    url = f"{ceph.url}/{ceph.new_bucket()}"
    return Settings(s3_url=url, s3_access_key=ceph.access_key, s3_secret_key=ceph.secret_key)


def test_ceph_behaves_and_the_bucket_is_as_empty_as_before(ceph, bucket_settings: Settings) -> None:
    found = answers(bucket.check(bucket_settings))
    odd = {name: answer for name, answer in found.items() if answer.verdict != "ok"}
    assert set(odd) == {"notifications", "space left"}, odd
    assert len(found) == len(bucket.PROBES)
    name = bucket_settings.s3_url.rpartition("/")[2]
    assert list(ceph.client().list_objects(bucket_name=name, recursive=True)) == []


def test_a_user_without_rights_is_told_so(ceph, bucket_settings: Settings) -> None:
    stranger = ceph.new_user()
    keys = {"s3_access_key": stranger.access_key, "s3_secret_key": stranger.secret_key}
    (found,) = bucket.check(Settings(s3_url=bucket_settings.s3_url, **keys))
    assert found.answer.verdict == "fail" and not found.answer.unreachable
    assert "may not list the bucket" in found.answer.seen


@pytest.fixture
def broker_settings(rabbit) -> Settings:
    return Settings(amqp_url=rabbit.new_vhost(), amqp_management_url=rabbit.management_url)


def queues(settings: Settings) -> dict[str, int]:
    """Return all queues of the virtual host, and how many messages each holds."""
    url = pika.URLParameters(settings.amqp_url.get_secret_value())
    listed = Management(settings.amqp_management_url.get_secret_value()).get("queues", url.virtual_host)
    with closing(pika.BlockingConnection(url)) as connection:
        channel = connection.channel()
        names = [queue["name"] for queue in listed]
        return {name: channel.queue_declare(name, passive=True).method.message_count for name in names}


def test_rabbitmq_behaves_and_its_queues_are_as_they_were(broker_settings: Settings) -> None:
    with closing(
        pika.BlockingConnection(pika.URLParameters(broker_settings.amqp_url.get_secret_value()))
    ) as connection:
        connection.channel().basic_publish("work", "segment.v1", b"work")
        before = queues(broker_settings)
        found = answers(broker.check(broker_settings))
    assert {name: answer.seen for name, answer in found.items() if answer.verdict != "ok"} == {}
    assert len(found) == len(broker.PROBES)
    assert queues(broker_settings) == before
    assert before["segment.v1"] == 1


def test_the_nodes_are_well_but_for_a_limit_that_a_long_stage_would_pass(broker_settings: Settings) -> None:
    found = answers(nodes.check(broker_settings))
    assert set(found) == {"reachable", "alarms", "disk", "memory", "consumer timeout", "clock skew"}
    assert found["consumer timeout"].verdict == "warn"
    assert "consumer_timeout = 86400000" in found["consumer timeout"].advice
    assert [found[name].verdict for name in ("reachable", "alarms", "clock skew")] == ["ok", "ok", "ok"]
    short = broker_settings.model_copy(update={"isolated_limit_s": 60.0, "stage_limit_s": 60.0, "slice_s": 60.0})
    assert answers(nodes.check(short))["consumer timeout"].verdict == "unknown"


def test_a_broker_without_the_topology_is_told_what_to_run(rabbit) -> None:
    settings = Settings(amqp_url=rabbit.new_vhost(topology=False), amqp_management_url=rabbit.management_url)
    found = answers(broker.check(settings))["topology"]
    assert found.verdict == "fail"
    assert "porelay topology apply" in found.advice


def test_a_wrong_password_is_told_from_a_broker_that_is_not_there(broker_settings: Settings) -> None:
    wrong = broker_settings.amqp_url.get_secret_value().replace("guest:guest", "guest:other")
    (found,) = broker.check(Settings(amqp_url=wrong))
    assert found.answer.verdict == "fail" and not found.answer.unreachable
    assert "it does not let us in" in found.answer.seen and "PORELAY_AMQP_URL" in found.answer.advice


def test_a_wrong_password_of_the_http_interface_is_told_so(broker_settings: Settings) -> None:
    wrong = broker_settings.amqp_management_url.get_secret_value().replace("guest:guest", "guest:other")
    (found,) = nodes.check(broker_settings.model_copy(update={"amqp_management_url": SecretStr(wrong)}))
    assert found.answer.verdict == "fail"
    assert "401" in found.answer.seen and "other" not in found.answer.seen
