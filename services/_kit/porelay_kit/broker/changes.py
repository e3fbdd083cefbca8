"""What a live broker lacks of the topology, and how it gets there.

Exchanges, queues and bindings are declared over AMQP; what is there already, and policies, are seen and set over
RabbitMQ's HTTP interface. Without that only missing exchanges and queues can be told, and policies not be set.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from porelay_kit.broker.management import Management
from porelay_kit.broker.topology import Binding, Exchange, Policy, Queue, Topology, Version, generation_of
from porelay_kit.steps import Step

NO_VIEW = "Set PORELAY_AMQP_MANAGEMENT_URL, or let an administrator do it: "
_NOT_EMPTY = "What to do with it: deploy/README.md, section Upgrade."
FLAGS_SINCE = (4, 3)
"""The servers that come with the second `rabbitmqadmin`, whose options are flags."""


@dataclass(frozen=True)
class Live:
    """A broker: its HTTP interface, where there is one, and a connection of pika's."""

    connection: Any
    vhost: str
    version: Version
    management: Management | None

    def declare(self, question: Callable[[Any], object]) -> None:
        """Declare something on a channel of its own."""
        channel = self.connection.channel()
        question(channel)
        channel.close()

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the exchanges, queues, bindings or policies of the virtual host."""
        found: list[dict[str, Any]] = (self.management.get(kind, self.vhost) or []) if self.management else []
        return found


def steps(topology: Topology, live: Live, *, apply: bool = False) -> Iterator[Step]:
    """Yield what is to be done, or where `apply` is set, what has been done.

    Raises what pika raises, BrokerUnavailable, and BadInput where the user may not.
    """
    if live.management is None:
        yield from _blind(topology, live, apply=apply)
        return
    exchanges = {one["name"]: one for one in live.all("exchanges")}
    for exchange in topology.exchanges:
        yield _exchange(exchange, exchanges.get(exchange.name), live, apply=apply)
    queues = {one["name"]: one for one in live.all("queues")}
    for queue in topology.queues:
        yield _queue(queue, queues.get(queue.name), live, apply=apply)
    bound = {(one["source"], one["destination"], one["routing_key"]) for one in live.all("bindings")}
    for binding in topology.bindings:
        yield _binding(binding, live, there=(binding.exchange, binding.queue, binding.key) in bound, apply=apply)
    policies = {one["name"]: one for one in live.all("policies")}
    for policy in topology.policies(live.version):
        yield _policy(policy, policies.get(policy.name), live, apply=apply)
    yield from _of_other_releases(topology, queues, live)
    yield from _strangers(topology, live)


def _exchange(wanted: Exchange, there: dict[str, Any] | None, live: Live, *, apply: bool) -> Step:
    what = f"exchange {wanted.name} ({wanted.kind})"
    if there is None:
        if apply:
            live.declare(lambda channel: channel.exchange_declare(wanted.name, wanted.kind, durable=True))
        return Step("+", what)
    if (there["type"], there["durable"]) == (wanted.kind, True):
        return Step("=", what)
    lasting = "durable" if there["durable"] else "not durable"
    named = f"--name {wanted.name}" if live.version >= FLAGS_SINCE else f"name={wanted.name}"
    road = (
        f"It is {there['type']}, {lasting}, and that is for ever. Stop the workers, delete it "
        f"(`rabbitmqadmin -V {shlex.quote(live.vhost)} delete exchange {named}`), and apply again."
    )
    return Step("!", what, road)


def _queue(wanted: Queue, there: dict[str, Any] | None, live: Live, *, apply: bool) -> Step:
    what = f"queue {wanted.name} ({wanted.kind})"
    if there is None:
        if apply:
            live.declare(lambda channel: channel.queue_declare(wanted.name, durable=True, arguments=wanted.arguments))
        return Step("+", what)
    got = {"durable": there["durable"]} | there["arguments"]
    flags = [] if there.get("type") == "quorum" else ["--if-empty"]  # which RabbitMQ refuses for quorum queues
    if got == {"durable": True} | wanted.arguments:
        return Step("=", what)
    road = (
        f"It was declared with {json.dumps(got)}, wanted {json.dumps({'durable': True} | wanted.arguments)}, and that "
        f"is for ever. Stop who sends to it, wait until it is empty, delete it "
        f"(`{_deletion(wanted.name, live, *flags)}`), and apply again."
    )
    return Step("!", what, road)


def _binding(wanted: Binding, live: Live, *, there: bool, apply: bool) -> Step:
    if not there and apply:
        live.declare(lambda channel: channel.queue_bind(wanted.queue, wanted.exchange, wanted.key))
    key = f" by {wanted.key}" if wanted.key else ""
    return Step("=" if there else "+", f"binding {wanted.exchange} to {wanted.queue}{key}")


def _policy(wanted: Policy, there: dict[str, Any] | None, live: Live, *, apply: bool) -> Step:
    what, body = f"policy {wanted.name}", _body(wanted)
    if there is not None and {key: there.get(key) for key in body} == body:
        return Step("=", what)
    if apply and live.management:
        live.management.put(body, "policies", live.vhost, wanted.name)
    return Step("+" if there is None else "~", f"{what}: {json.dumps(wanted.definition)}")


def _body(policy: Policy) -> dict[str, Any]:
    return {"pattern": policy.pattern, "definition": policy.definition, "apply-to": "queues", "priority": 0}


def _of_other_releases(topology: Topology, queues: dict[str, dict[str, Any]], live: Live) -> Iterator[Step]:
    """Yield the queues that another release left or still uses: with what is in them, and what to do with them."""
    ours = {queue.name for queue in topology.queues}
    for name, queue in sorted(queues.items()):
        if name in ours or generation_of(name) is None:
            continue
        count, workers = queue.get("messages", 0), queue.get("consumers", 0)
        what = f"queue {name} of another release: messages {count}, consumers {workers}"
        yield Step("-", what, _NOT_EMPTY if count or workers else f"Delete it: `{_deletion(name, live)}`")


def _deletion(queue: str, live: Live, *flags: str) -> str:
    return shlex.join(["rabbitmqctl", "delete_queue", *flags, "-p", live.vhost, queue])


def _strangers(topology: Topology, live: Live) -> Iterator[Step]:
    """Yield the policies of others that win over ours, or may: only one applies to a queue."""
    ours = {policy.name for policy in topology.policies(live.version)}
    for policy in live.all("policies"):
        name, pattern = policy["name"], policy["pattern"]
        hit = [queue.name for queue in topology.queues if re.search(pattern, queue.name)]
        if name not in ours and hit and policy["priority"] >= 0 and policy["apply-to"] != "exchanges":
            road = f"Delete it: `{shlex.join(['rabbitmqctl', 'clear_policy', '-p', live.vhost, name])}`"
            yield Step("!", f"queue {hit[0]} may obey the policy {name!r}, which is not ours", road)


def _blind(topology: Topology, live: Live, *, apply: bool) -> Iterator[Step]:
    """Yield what can be told and done over AMQP alone."""
    missing = set(topology.missing(live.connection))
    names = [f"exchange {one.name}" for one in topology.exchanges] + [f"queue {one.name}" for one in topology.queues]
    if apply:
        live.declare(topology.declare)
    for name in names:
        yield Step("+" if name in missing else "=", name)
    for policy in topology.policies(live.version):
        yield Step("!" if apply else "-", f"policy {policy.name}", NO_VIEW + command(policy, live.vhost))


def command(policy: Policy, vhost: str) -> str:
    """Return the command that sets a policy."""
    words = ["rabbitmqctl", "set_policy", "-p", vhost, "--apply-to", "queues"]
    return shlex.join([*words, policy.name, policy.pattern, json.dumps(policy.definition)])
