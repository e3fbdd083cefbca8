"""What the topology is rendered to, without a server."""

import re

import pytest

from porelay_kit.broker.base import DELIVERY_LIMIT, RETRY_LADDER_S
from porelay_kit.broker.topology import Topology, dead_of, queue_of, retry_of, stage_of, version_of
from porelay_schemas.route import STAGES

VERSIONS = [(3, 10, 8), (3, 13, 7), (4, 0, 0), (4, 4, 0)]


def test_every_stage_of_the_route_has_a_queue_and_a_place_for_its_dead():
    names = {queue.name for queue in Topology().queues}
    for stage in (*STAGES, "intake"):
        assert {queue_of(stage), dead_of(stage)} <= names
        assert stage_of(queue_of(stage)) == stage


def test_delays_have_short_names():
    assert [retry_of(delay) for delay in (*RETRY_LADDER_S, 0.2)] == [
        "retry.5s", "retry.30s", "retry.3m", "retry.15m", "retry.200ms",
    ]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_each_queue_has_exactly_one_policy(version):
    topology = Topology()
    for queue in topology.queues:
        found = [policy.name for policy in topology.policies(version) if re.search(policy.pattern, queue.name)]
        assert len(found) == 1, (queue.name, found)


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_asked_that_a_server_refuses_or_that_loses_messages_there(version):
    topology = Topology()
    for queue in topology.queues:
        assert set(queue.arguments) <= {"x-queue-type", "x-single-active-consumer"}
    limits = {policy.name: policy.definition.get("delivery-limit") for policy in topology.policies(version)}
    looked_at = [name for name in limits if name == "dead-letters" or name.startswith("retry.")]
    assert all(limits[name] == (-1 if version >= (4, 0) else None) for name in looked_at)
    assert limits["work"] == DELIVERY_LIMIT - 1
    timeouts = [policy for policy in topology.policies(version) if "consumer-timeout" in policy.definition]
    assert bool(timeouts) == (version >= (3, 12))


def test_what_dies_is_moved_without_losing_it_on_the_way():
    for policy in Topology().policies((3, 10, 8)):
        if "dead-letter-exchange" in policy.definition:
            assert policy.definition["dead-letter-strategy"] == "at-least-once"
            assert policy.definition["overflow"] == "reject-publish"


def test_definitions_name_only_what_they_define():
    found = Topology().definitions("/", (4, 0, 0))
    queues, exchanges = ({one["name"] for one in found[kind]} for kind in ("queues", "exchanges"))
    assert {one["source"] for one in found["bindings"]} <= exchanges
    assert {one["destination"] for one in found["bindings"]} == queues


def test_a_version_is_read_as_numbers():
    assert version_of("3.10.8") == (3, 10, 8) and version_of("4.0.0-rc.1") == (4, 0, 0)
