"""Probes of the broker's nodes, over RabbitMQ's HTTP interface."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from porelay_kit.broker.management import Management
from porelay_kit.broker.topology import CONSUMER_TIMEOUT_MS, queue_of
from porelay_kit.doctor import clock, space
from porelay_kit.doctor.finding import Answer, Excuse, Finding, examine, fail, ok, unknown, unreachable, warn
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, BrokerUnavailable, PorelayError
from porelay_schemas.route import STAGES

LEAST_DISK_BYTES = 2**30
FULL = 0.8
"""Share of the memory limit above which it will soon stop publishers."""
NOT_YET = "the server has just started, and has not measured it yet"
DEFAULT_TIMEOUT_S = 1800
TIMEOUT_BY_POLICY = (3, 12)


class Nodes:
    """What the HTTP interface shows of a broker."""

    def __init__(self, settings: Settings, management: Management) -> None:
        self.settings, self.management = settings, management

    @property
    def vhost(self) -> str:
        """Where the queues are."""
        url = self.settings.amqp_url
        return unquote(urlsplit(url.get_secret_value() if url else "").path[1:]) or "/"

    def all(self) -> list[dict[str, Any]]:
        """Return its nodes that run."""
        return [node for node in self.management.get("nodes") or [] if node.get("running")]

    def measured(self) -> list[dict[str, Any]]:
        """Return those that have been up long enough to be measured."""
        return [node for node in self.all() if "mem_used" in node and "disk_free" in node]


def check(settings: Settings) -> list[Finding]:
    """Probe the nodes; where no address is set, say what can then not be seen."""
    management = Management.open(settings)
    if management is None:
        seen = "alarms, disk, memory, clock and policies cannot be seen without PORELAY_AMQP_MANAGEMENT_URL"
        return [Finding("broker nodes", "reachable", unknown(seen))]
    return examine(f"broker nodes {management.where}", Nodes(settings, management), PROBES, EXCUSE)


def reachable(nodes: Nodes) -> Answer:
    """The interface answers, and lets us in."""
    try:
        overview = nodes.management.get("overview")
    except BrokerUnavailable as error:
        return unreachable(str(error), "")
    except BadInput as error:
        return fail(str(error), "")
    names = [node["name"] for node in nodes.all()]
    return ok(f"RabbitMQ {overview['rabbitmq_version']}, {len(names)} of its nodes: {', '.join(names)}")


def alarms(nodes: Nodes) -> Answer:
    """No node has stopped its publishers."""
    kinds = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
    found = [f"{what} of {node['name']}" for node in nodes.all() for key, what in kinds.items() if node.get(key)]
    if found:
        advice = "No worker can send a thing. Free memory or disk there; it takes messages again by itself."
        return fail(f"alarm: {', '.join(found)}", advice)
    split = [node["name"] for node in nodes.all() if node.get("partitions")]
    if split:
        return fail(f"the cluster is split: {', '.join(split)}", "See `rabbitmq-diagnostics cluster_status`.")
    return ok("none; the cluster is whole")


def disk(nodes: Nodes) -> Answer:
    """Room for messages."""
    if not (measured := nodes.measured()):
        return unknown(NOT_YET)
    node = min(measured, key=lambda node: node["disk_free"] - node["disk_free_limit"])
    left = node["disk_free"] - node["disk_free_limit"]
    seen = f"{space.size(max(0, left))} until {node['name']} stops its publishers"
    if left < LEAST_DISK_BYTES:
        return warn(seen, f"Give it at least {space.size(LEAST_DISK_BYTES)}.")
    return ok(seen)


def memory(nodes: Nodes) -> Answer:
    """Room for what queues hold in memory."""
    if not (measured := nodes.measured()):
        return unknown(NOT_YET)
    node = max(measured, key=lambda node: node["mem_used"] / node["mem_limit"])
    seen = f"{space.size(node['mem_used'])} of {space.size(node['mem_limit'])} used by {node['name']}"
    if node["mem_used"] > FULL * node["mem_limit"]:
        return warn(seen, "It will soon stop its publishers. Give it more memory, or look at long queues.")
    return ok(seen)


def clock_skew(nodes: Nodes) -> Answer:
    """The broker's clock."""
    return clock.from_header(nodes.management.date())


def consumer_timeout(nodes: Nodes) -> Answer:
    """A delivery is not taken from a worker that is still busy with it."""
    allowed = nodes.settings
    longest = max(allowed.slice_s, allowed.isolated_limit_s, allowed.stage_limit_s)
    limit, where = _limit(nodes)
    seen = f"a stage may hold a delivery for {longest:g} s; the broker takes it back after {limit:g} s ({where})"
    if limit <= longest:
        advice = (
            f"{_remedy(where)}, or lower PORELAY_STAGE_LIMIT_S and PORELAY_ISOLATED_LIMIT_S below {limit:g}: "
            "what lasts longer than the broker waits is begun again by another worker."
        )
        return warn(seen, advice)
    return ok(seen) if where == "policy" else unknown(seen)


def _remedy(where: str) -> str:
    """Return how the broker is made to wait long enough for every stage that settings allow."""
    if where == "policy":
        return "Run `porelay topology apply`"
    return f"Set `consumer_timeout = {CONSUMER_TIMEOUT_MS}` (milliseconds) in rabbitmq.conf"


def _limit(nodes: Nodes) -> tuple[float, str]:
    """Return after how many seconds a delivery is taken back, and who says so."""
    version = nodes.management.get("overview")["rabbitmq_version"]
    if tuple(map(int, version.split(".")[:2])) >= TIMEOUT_BY_POLICY:
        vhost = nodes.vhost
        queues = [nodes.management.get("queues", vhost, queue_of(stage)) or {} for stage in STAGES]
        policies = [queue.get("effective_policy_definition") or {} for queue in queues]
        set_ms = [float(policy["consumer-timeout"]) for policy in policies if "consumer-timeout" in policy]
        if len(set_ms) == len(queues):
            return min(set_ms) / 1000, "policy"
    return DEFAULT_TIMEOUT_S, "the default; over HTTP it does not say whether that was changed"


PROBES: tuple[Callable[[Nodes], Answer], ...] = (reachable, alarms, disk, memory, consumer_timeout, clock_skew)


def _answer(error: Exception) -> Answer:
    return unknown(str(error)) if isinstance(error, BadInput) else fail(str(error), "")


EXCUSE = Excuse((PorelayError,), _answer)
