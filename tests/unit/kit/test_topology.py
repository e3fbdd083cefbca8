"""The bus as a description: what is declared, and what servers of all ages are told."""

import re

import pytest
from pydantic import ValidationError

from porelay_kit.broker import permissions
from porelay_kit.broker.topology import Queue, Topology, generation_of, retry_of, version_of
from porelay_kit.runner import serve
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput
from porelay_schemas.route import STAGES

TOPOLOGY = Topology()
VERSIONS = [(3, 10, 8), (3, 13, 7), (4, 0, 5), (4, 4, 0)]
NEVER_ARGUMENTS = {"x-max-priority", "x-queue-mode", "x-delivery-limit", "x-message-ttl", "x-dead-letter-exchange"}
POLICY_KEYS = {
    "dead-letter-exchange",
    "dead-letter-strategy",
    "delivery-limit",
    "max-age",
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "overflow",
}


class Server:
    """A connection to a server that has some queues, and answers 404 for the others as RabbitMQ does.

    As RabbitMQ does from 4.3 on, it answers 403 for those that are refused.
    """

    def __init__(self, *names: str, refused: tuple[str, ...] = ()) -> None:
        self.names, self.refused, self.declared, self.bound = names, refused, [], []

    def channel(self) -> "Server":
        return self

    def exchange_declare(self, name, kind="direct", **more) -> None:
        self._declare(name, kind, more)

    def queue_declare(self, name, **more) -> None:
        self._declare(name, "queue", more)

    def _declare(self, name, kind, more) -> None:
        from pika.exceptions import ChannelClosedByBroker

        if more.pop("passive", False):
            if name in self.refused:
                raise ChannelClosedByBroker(403, f"ACCESS_REFUSED - configure access to {name!r}")
            if name not in self.names:
                raise ChannelClosedByBroker(404, f"NOT_FOUND - no {name!r}")
        else:
            self.declared.append((kind, name, more))

    def queue_bind(self, queue, exchange, key) -> None:
        self.bound.append((exchange, queue, key))

    def close(self) -> None:
        pass


def policies(version):
    return TOPOLOGY.policies(version)


def policy_of(queue: str, version) -> dict:
    (only,) = [one.definition for one in policies(version) if re.search(one.pattern, queue)]
    return only


def test_every_stage_and_the_intake_have_a_queue_and_one_for_dead_letters():
    names = {queue.name for queue in TOPOLOGY.queues}
    for stage in (*STAGES, "intake"):
        assert {f"{stage}.v1", f"dlq.{stage}.v1"} <= names


def test_only_what_never_changes_is_an_argument():
    for queue in TOPOLOGY.queues:
        assert not set(queue.arguments) & NEVER_ARGUMENTS, queue
        assert set(queue.arguments) <= {"x-queue-type", "x-single-active-consumer"}


def test_one_worker_at_a_time_reads_notifications_and_only_those():
    assert [queue.name for queue in TOPOLOGY.queues if queue.single_active] == ["intake.v1"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda queue: queue.name)
def test_exactly_one_policy_holds_for_each_queue(queue: Queue, version):
    assert policy_of(queue.name, version)


@pytest.mark.parametrize("version", [(3, 10, 8), (3, 11, 0), (3, 13, 7)])
def test_an_unlimited_number_of_returns_is_never_written_as_minus_one_for_a_server_that_would_lose_messages(version):
    assert all(policy.definition.get("delivery-limit", 1) > 0 for policy in policies(version))


def test_the_oldest_server_is_told_only_what_it_understands():
    assert {key for policy in policies((3, 10, 8)) for key in policy.definition} <= POLICY_KEYS


@pytest.mark.parametrize("version", [(4, 0, 0), (4, 4, 0)])
def test_looking_destroys_nothing_on_servers_that_limit_returns_by_themselves(version):
    looked_at = [queue.name for queue in TOPOLOGY.queues if queue.name.startswith(("dlq.", "retry."))]
    quorum = [name for name in looked_at if name != "dlq.log"]
    assert {policy_of(name, version)["delivery-limit"] for name in quorum} == {-1}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("stage", (*STAGES, "intake"))
def test_a_message_that_kills_its_workers_is_parked_and_none_is_lost_on_the_way(stage, version):
    policy = policy_of(f"{stage}.v1", version)
    assert policy["delivery-limit"] == (19 if stage == "slicegan-trainer" else 4)  # deliveries: one more
    assert policy["dead-letter-exchange"] == "dlx"
    assert (policy["dead-letter-strategy"], policy["overflow"]) == ("at-least-once", "reject-publish")


@pytest.mark.parametrize("name", ["{}.v1", "dlq.{}.v1"])
@pytest.mark.parametrize("stage", (*STAGES, "intake"))
def test_queues_of_the_next_generation_obey_the_same_policies(stage, name):
    queue = name.format(stage)
    assert policy_of(queue.replace(".v1", ".v2"), (4, 0, 5)) == policy_of(queue, (4, 0, 5))
    assert (generation_of(queue), generation_of(queue.replace(".v1", ".v12"))) == (1, 12)


def test_a_queue_of_others_has_no_generation():
    assert [generation_of(name) for name in ("retry.5s", "events.log", "orders.v1", "segment", "dlq.log")] == [None] * 5


@pytest.mark.parametrize("version", VERSIONS)
def test_how_long_a_delivery_may_be_held_is_said_where_it_is_understood(version):
    assert ("consumer-timeout" in policy_of("mesher.v1", version)) == (version >= (3, 12))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("version", [(3, 12, 0), (3, 13, 7), (4, 1, 0)])
def test_no_stage_may_be_allowed_longer_than_the_broker_waits(stage, version):
    waits_s = policy_of(f"{stage}.v1", version)["consumer-timeout"] / 1000
    limits = ("stage_limit_s", "isolated_limit_s", "slice_s")
    for name in limits:
        with pytest.raises(ValidationError, match=name):
            Settings(**{name: waits_s})
    assert max(getattr(Settings(), name) for name in limits) + serve.PATIENCE_S < waits_s


def test_what_is_put_off_comes_back_to_its_own_queue_after_the_delay():
    for delay in TOPOLOGY.retry_ladder_s:
        policy = policy_of(retry_of(delay), (3, 10, 8))
        assert (policy["message-ttl"], policy["dead-letter-exchange"]) == (delay * 1000, "work")
        assert "dead-letter-routing-key" not in policy
    assert {("work", f"{stage}.v1", f"{stage}.v1") for stage in STAGES} <= {
        (one.exchange, one.queue, one.key) for one in TOPOLOGY.bindings
    }


def test_delays_have_names_that_a_person_reads():
    assert [retry_of(delay) for delay in (0.05, 5, 30, 180, 900)] == [
        "retry.50ms",
        "retry.5s",
        "retry.30s",
        "retry.3m",
        "retry.15m",
    ]


def test_every_delay_is_one_that_workers_may_write_to():
    writes = [account.write for account in permissions.accounts() if account.name == "porelay-segment"]
    assert all(re.search(writes[0], retry_of(delay)) for delay in TOPOLOGY.retry_ladder_s)


def test_declaring_makes_all_of_it_durable_and_binds_it():
    server = Server()
    TOPOLOGY.declare(server)
    assert len(server.declared) == len(TOPOLOGY.exchanges) + len(TOPOLOGY.queues)
    assert all(more["durable"] for _, _, more in server.declared)
    assert len(server.bound) == len(TOPOLOGY.bindings)
    made = {name for _, name, _ in server.declared}
    assert all({exchange, queue} <= made for exchange, queue, _ in server.bound)


def test_checking_declares_nothing_and_says_what_is_missing_and_what_mends_it():
    server = Server(*(one.name for one in TOPOLOGY.exchanges if one.name != "dlx"))
    with pytest.raises(BadInput, match=r"lacks exchange dlx, queue ingest\.v1.*and \d+ more.*porelay topology apply"):
        TOPOLOGY.check(server)
    assert not server.declared


def test_a_server_that_has_all_of_it_passes_the_check():
    everything = [one.name for one in (*TOPOLOGY.exchanges, *TOPOLOGY.queues)]
    TOPOLOGY.check(Server(*everything))


def test_what_the_server_does_not_tell_this_user_of_is_not_called_missing():
    everything = {one.name for one in (*TOPOLOGY.exchanges, *TOPOLOGY.queues)}
    TOPOLOGY.check(Server(*everything - {"ingest", "mesher.v1"}, refused=("ingest", "mesher.v1")))


def test_definitions_carry_all_of_it_for_one_virtual_host():
    found = TOPOLOGY.definitions("site", (3, 10, 8))
    assert {kind: len(entries) for kind, entries in found.items()} == {
        "exchanges": len(TOPOLOGY.exchanges),
        "queues": len(TOPOLOGY.queues),
        "bindings": len(TOPOLOGY.bindings),
        "policies": len(policies((3, 10, 8))),
    }
    assert {entry["vhost"] for entries in found.values() for entry in entries} == {"site"}


def test_a_version_is_read_from_what_the_server_says():
    assert version_of("3.10.8") == (3, 10, 8)
    assert version_of("4.4.0-rc.1")[:2] == (4, 4)
