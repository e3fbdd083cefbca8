"""Probes of the broker over AMQP, on server-named queues of their own that end with the connection."""

import socket
import ssl
import statistics
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pika
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionBlockedTimeout,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

from porelay_kit.broker.changes import Live, steps
from porelay_kit.broker.management import Management
from porelay_kit.broker.topology import Topology, version_of
from porelay_kit.doctor.bus import TIMEOUT_S, Bus
from porelay_kit.doctor.finding import Answer, Excuse, Finding, examine, fail, ok, unknown, unreachable, warn
from porelay_kit.settings import Settings
from porelay_schemas.errors import PorelayError

DELAY_S = 0.3
LATE_S = 1.0
SLOW_CONFIRM_S = 0.05
OLDEST = (3, 10)
NO_WAY_IN = (AuthenticationError, ProbableAuthenticationError, ProbableAccessDeniedError)


def check(settings: Settings) -> list[Finding]:
    """Probe the broker over AMQP; nothing is left behind, and no queue of work is touched."""
    bus = Bus(settings)
    try:
        return examine(f"broker {bus.where}", bus, PROBES, EXCUSE)
    finally:
        bus.close()


def reachable(bus: Bus) -> Answer:
    """The server answers, and lets us in."""
    began = time.monotonic()
    try:
        _knock(bus.parameters())
        product = bus.product
    except NO_WAY_IN as error:
        advice = "Check the user, the password and the virtual host in PORELAY_AMQP_URL."
        return fail(f"it does not let us in ({_text(error)})", advice)
    except (AMQPConnectionError, OSError) as error:
        return unreachable(*_nobody(error))
    return ok(f"{product.get('product')} {_of(product)} answers in {1000 * (time.monotonic() - began):.0f} ms")


def server_version(bus: Bus) -> Answer:
    """A version that keeps the contract."""
    product = bus.product
    text = _of(product)
    if product.get("product") != "RabbitMQ" or tuple(map(int, text.split(".")[:2])) < OLDEST:
        advice = "Quorum queues, streams and safe dead-lettering need RabbitMQ 3.10 or later."
        return fail(f"{product.get('product')} {text}", advice)
    return ok(f"RabbitMQ {text}")


def wrong_password_refused(bus: Bus) -> Answer:
    """Who has a wrong password is turned away."""
    for other in ({"password": uuid4().hex}, {"username": f"nobody-{uuid4().hex[:8]}"}):
        try:
            bus.connect(**other).close()
        except NO_WAY_IN:
            continue
        advice = "Anybody on the network can read and send everything. Turn authentication on in the server."
        return fail(f"a wrong {' and '.join(other)} was let in", advice)
    return ok("a wrong password and an unknown user are turned away")


def encryption(bus: Bus) -> Answer:
    """Nobody on the way can read along."""
    parameters = bus.parameters()
    if parameters.ssl_options:
        return ok("TLS, the server's certificate checked")
    if parameters.host.startswith("127.") or parameters.host in ("localhost", "::1"):
        return ok("none, and none is needed on this very machine")
    return warn(
        "plain AMQP: the password and all requests can be read on the way",
        "Use amqps:// (deploy/security/README.md).",
    )


def confirms(bus: Bus) -> Answer:
    """Publishing returns when the message is safe."""
    with bus.channel() as channel:
        queue = _queue(channel)
        seconds = statistics.median(_timed(lambda: _publish(channel, queue)) for _ in range(10))
        held = sum(channel.basic_get(queue, auto_ack=True)[0] is not None for _ in range(11))
    if held != 10:
        return fail(f"of 10 confirmed messages {held} are there", "Messages would be lost. Look at the server's log.")
    seen = f"confirmed in {1000 * seconds:.1f} ms"
    if seconds > SLOW_CONFIRM_S:
        return warn(seen, "Each stage pays it some ten times, no more. Look at the broker's disk and network.")
    return ok(seen)


def mandatory_return(bus: Bus) -> Answer:
    """A message that no queue takes comes back, instead of being confirmed and thrown away."""
    with bus.channel() as channel:
        try:
            _publish(channel, f"porelay-doctor-nobody-{uuid4().hex}")
        except UnroutableError:
            return ok("a message that no queue takes is returned")
    return fail("a message that no queue takes was confirmed and thrown away", "Runs would end in silence there.")


def redelivery(bus: Bus) -> Answer:
    """What a dead worker held comes again, marked."""
    with bus.channel() as owner:
        queue = _queue(owner)
        _publish(owner, queue)
        with bus.channel() as dying:
            _await(dying, queue, TIMEOUT_S)
        began = time.monotonic()
        method, _, _ = _await(owner, queue, TIMEOUT_S)
        seconds = time.monotonic() - began
        if method is not None:
            owner.basic_ack(method.delivery_tag)
    if method is None or not method.redelivered:
        seen = "it was lost" if method is None else "it came again without the mark `redelivered`"
        return fail(f"a worker died with a message: {seen}", "Look at the server's log.")
    return ok(f"what a dead worker held came again after {1000 * seconds:.0f} ms, marked")


def retry_delay(bus: Bus) -> Answer:
    """A message that was put off comes back after its delay: TTL and dead-lettering."""
    with bus.channel() as channel:
        work = _queue(channel)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work}
        waiting = _queue(channel, {"x-message-ttl": int(1000 * DELAY_S)} | arguments)
        began = time.monotonic()
        _publish(channel, waiting)
        method, properties, _ = _await(channel, work, DELAY_S + TIMEOUT_S)
        seconds = time.monotonic() - began
    if method is None:
        return fail(f"put off by {DELAY_S} s, it did not come back", "Retries would be lost. Look at the server's log.")
    if not properties.headers.get("x-doctor"):
        return fail("put off, it came back without its headers", "Attempts could not be counted there.")
    seen = f"put off by {DELAY_S} s, it came back after {seconds:.2f} s"
    late = seconds > DELAY_S + LATE_S
    return warn(seen, "The server is busy: look at its load.") if late else ok(seen)


def topology(bus: Bus) -> Answer:
    """Exchanges, queues, bindings and policies are as `porelay topology` describes them."""
    management = Management.open(bus.settings)
    with bus.channel() as channel:
        live = Live(channel.connection, bus.parameters().virtual_host, version_of(_of(bus.product)), management)
        found = list(steps(Topology(), live))
    advice = "Run `porelay topology plan` to see, `porelay topology apply` to mend."
    wrong = [step.what for step in found if step.mark not in "=-"]
    if wrong:
        return fail(f"{len(wrong)} of {len(found)} things are missing or different, first: {wrong[0]}", advice)
    if management is None:
        return unknown("exchanges and queues are there; bindings and policies: set PORELAY_AMQP_MANAGEMENT_URL")
    return ok(f"all {len(found)} exchanges, queues, bindings and policies are as wanted")


PROBES: tuple[Callable[[Bus], Answer], ...] = (
    reachable,
    server_version,
    wrong_password_refused,
    encryption,
    confirms,
    mandatory_return,
    redelivery,
    retry_delay,
    topology,
)


def _queue(channel: Any, arguments: dict[str, Any] | None = None) -> str:
    declared = channel.queue_declare("", exclusive=True, auto_delete=True, arguments=arguments)
    return str(declared.method.queue)


def _publish(channel: Any, queue: str) -> None:
    properties = pika.BasicProperties(delivery_mode=2, headers={"x-doctor": 1})
    channel.basic_publish("", queue, b"probe", properties, mandatory=True)


def _await(channel: Any, queue: str, within_s: float) -> Any:
    """Return a message that is not acknowledged, or three times None where none came in time."""
    deadline = time.monotonic() + within_s
    while True:
        got = channel.basic_get(queue)
        if got[0] is not None or time.monotonic() > deadline:
            return got
        time.sleep(0.01)


def _timed(what: Callable[[], None]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began


def _of(product: dict[str, Any]) -> str:
    version = product.get("version", "")
    return version.decode() if isinstance(version, bytes) else str(version)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _knock(parameters: Any) -> None:
    """Open a connection as far as TLS goes; pika keeps to itself why one fails."""
    with socket.create_connection((parameters.host, parameters.port), TIMEOUT_S) as plain:
        if parameters.ssl_options:
            plain.settimeout(TIMEOUT_S)
            parameters.ssl_options.context.wrap_socket(plain, server_hostname=parameters.host).close()


def _nobody(error: BaseException) -> tuple[str, str]:
    """Return why nobody answered, and what to do."""
    text = _text(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        seen = f"its certificate is not one that we trust ({error.verify_message})"
        return seen, "Set PORELAY_AMQP_CA_FILE to the authority that signed it."
    if isinstance(error, ssl.SSLError):
        return f"TLS fails there ({text})", "Write amqp:// in PORELAY_AMQP_URL, or give the port of its TLS (5671)."
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there", "Check PORELAY_AMQP_URL, and that the broker runs."
    return f"nobody answers ({text})", "Check PORELAY_AMQP_URL, the network and the broker."


def _answer(error: Exception) -> Answer:
    if isinstance(error, ChannelClosedByBroker) and error.reply_code == 403:
        advice = "Run the doctor as an operator, who may have queues of his own and send to them."
        return unknown(f"this user may not ({error.reply_text})", advice)
    if isinstance(error, ConnectionBlockedTimeout):
        advice = "Free memory or disk of the broker; it takes messages again by itself. `rabbitmq-diagnostics alarms`"
        return unreachable(f"the broker takes no messages: it has an alarm, and blocked us for {TIMEOUT_S:g} s", advice)
    if isinstance(error, PorelayError):
        return unknown(str(error))
    return fail(f"{type(error).__name__}: {_text(error)}", "Look at the server's log.")


EXCUSE = Excuse((AMQPError, OSError, PorelayError), _answer)
