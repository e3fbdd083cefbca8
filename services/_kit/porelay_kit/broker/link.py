"""A connection to RabbitMQ with a thread of its own, which connects again whenever it is lost.

Nothing in that thread ever waits: it answers heartbeats while the server holds back its confirms, and hears of a
channel that was closed (a delivery held for too long) when it happens. Other threads hand in jobs.
"""

import logging
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from porelay_schemas.errors import BadInput, BrokerUnavailable

Job = Callable[[], None]

HEARTBEAT_S = 30
ROUND_S = 0.2
PAUSE_S = (0.1, 10.0)
SOCKET_S = 10.0
GOODBYE_S = 3.0
MOST_SOON = 50
LOST = (AMQPError, OSError)

logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it says is raised, too


@dataclass(frozen=True)
class Tls:
    """Certificates: of the authority, of this client, and its key; the system's authorities where none is given."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def parameters(url: str, tls: Tls = Tls()) -> Any:
    """Return where and how to connect; raise BadInput where the address or a certificate cannot be used."""
    try:
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError(url)
        found = pika.URLParameters(url)
        if found.ssl_options:
            context = ssl.create_default_context(cafile=tls.ca_file)
            if tls.cert_file:
                context.load_cert_chain(tls.cert_file, tls.key_file)
            found.ssl_options = pika.SSLOptions(context, found.host)
    except (ValueError, TypeError, AttributeError):
        raise BadInput("settings: PORELAY_AMQP_URL: wanted amqp[s]://user:password@host:port/vhost.") from None
    except OSError as error:
        raise BadInput(
            f"settings: the certificates of the broker cannot be read ({error}). Check the files."
        ) from error
    found.heartbeat = HEARTBEAT_S
    found.connection_attempts = 1
    found.socket_timeout = found.stack_timeout = SOCKET_S
    return found


def where(found: Any) -> str:
    """Return an address without user and password."""
    scheme = "amqps" if found.ssl_options else "amqp"
    return f"{scheme}://{found.host}:{found.port}/{quote(found.virtual_host, safe='')}"


def refused(error: BaseException, found: Any) -> BadInput | BrokerUnavailable:
    """Return in words why a connection could not be had."""
    error = _root(error)
    if isinstance(error, (ProbableAuthenticationError, ProbableAccessDeniedError)):
        user = found.credentials.username
        return BadInput(
            f"broker {where(found)}: it does not let user {user!r} in. "
            "Check user, password and virtual host in PORELAY_AMQP_URL."
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return BadInput(
            f"broker {where(found)}: its certificate is not trusted ({error.verify_message}). "
            "Set PORELAY_AMQP_CA_FILE to the authority that signed it."
        )
    reason = _reason(error)
    return BrokerUnavailable(
        f"broker {where(found)}: no answer ({reason}). Check PORELAY_AMQP_URL, the network and the broker; "
        "`porelay doctor` tells more."
    )


class User(Protocol):
    """What works on the connection; all of it is called in the connection's thread."""

    def opened(self, connection: Any) -> None:
        """Hear that there is a connection."""

    def lost(self) -> None:
        """Hear that there is none any more."""

    def each_round(self) -> None:
        """Hear that a round is over."""


class Link:
    """The thread and its connection."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self._users: tuple[User, ...] = ()
        self._lock = threading.Lock()
        self._connection: Any = None
        self._soon: deque[Job] = deque()
        self._loop: Any = None
        self._closing, self._decided = threading.Event(), threading.Event()
        self._trouble: BaseException | None = TimeoutError("not connected yet")
        self.alarm = ""
        """Why the server takes no messages at present, as it says itself; empty where it takes them."""
        self.ticked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="amqp", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether there is a connection that works."""
        return self._connection is not None

    @property
    def closed(self) -> bool:
        """Whether we have left for good."""
        return self._closing.is_set()

    def start(self, users: tuple[User, ...], within_s: float) -> None:
        """Connect, for these users; raise BadInput where not let in, BrokerUnavailable where nobody answers in time."""
        self._users = users
        self._thread.start()
        self._decided.wait(within_s)
        if not self.connected:
            error = self.refusal()
            self.close()
            raise error

    def refusal(self) -> BadInput | BrokerUnavailable:
        """Return in words why the broker does not do what it was asked for."""
        if self.alarm:
            return BrokerUnavailable(
                f"broker {where(self._found)}: it takes no messages, for it has an alarm ({self.alarm}). "
                "Free memory or disk there; it goes on by itself."
            )
        return refused(self._trouble or TimeoutError("it does not confirm"), self._found)

    def post(self, job: Job) -> bool:
        """Run a job in the thread, in the order of posting; return False, and do nothing, without a connection."""
        with self._lock:
            if self._connection is None:
                return False
            self._loop.add_callback_threadsafe(partial(self._do, job))
            return True

    def post_soon(self, job: Job) -> bool:
        """Run a job with the next one that is posted, or within a round: waking the thread costs what a job does."""
        if self._connection is None:
            return False
        self._soon.append(job)
        if len(self._soon) >= MOST_SOON:
            self.post(self._do_soon)
        return True

    def _do(self, job: Job) -> None:
        self._do_soon()
        _done(job)

    def _do_soon(self) -> None:
        while self._soon:
            _done(self._soon.popleft())

    def later(self, seconds: float, job: Job) -> None:
        """Run a job after some time, unless the connection is lost before; for the thread itself."""
        if self._connection is not None:
            self._loop.call_later(seconds, partial(_done, job))

    def close(self) -> None:
        """Leave, when all that was posted is done."""
        self._closing.set()
        with self._lock:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._leave)
        if self._thread.is_alive():
            self._thread.join(SOCKET_S)

    def _leave(self) -> None:
        self._do_soon()
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
            self._loop.call_later(GOODBYE_S, self._loop.stop)
        else:
            self._loop.stop()

    def _run(self) -> None:
        pause = PAUSE_S[0]
        while not self._closing.is_set():
            worked = self._session()
            pause = PAUSE_S[0] if worked else min(2 * pause, PAUSE_S[1])
            self._decided.set()
            self._rest(pause * random.uniform(0.5, 1.5))

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._closing.wait(min(left, ROUND_S)):
            self.ticked = time.monotonic()

    def _session(self) -> bool:
        """Connect and serve the connection until it is lost; return whether there was one."""
        loop = IOLoop()
        with self._lock:
            if self._closing.is_set():
                return False
            self._loop = loop
        loop.call_later(ROUND_S, self._round)
        try:
            pika.SelectConnection(self._found, self._on_open, self._on_end, self._on_end, custom_ioloop=loop)
            loop.start()
        except Exception as error:  # a defect, whatever it is, must not end the thread that everybody waits for
            logging.getLogger(__name__).exception("the connection to the broker is made anew")
            self._trouble = error
        finally:
            worked = self.connected
            with self._lock:
                self._connection = self._loop = None
                self._soon.clear()
            self.alarm = ""
            with suppress(*LOST):
                loop.close()
            for user in self._users if worked else ():
                user.lost()
        return worked

    def _on_open(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(self._blocked)
        connection.add_on_connection_unblocked_callback(self._unblocked)
        with self._lock:
            self._connection = connection
        self._trouble = None
        for user in self._users:
            user.opened(connection)
        self._decided.set()

    def _on_end(self, connection: Any, error: Any) -> None:
        self._trouble = _root(error)
        connection.ioloop.stop()

    def _blocked(self, connection: Any, frame: Any) -> None:
        self.alarm = str(frame.method.reason)

    def _unblocked(self, connection: Any, frame: Any) -> None:
        self.alarm = ""

    def _round(self) -> None:
        self.ticked = time.monotonic()
        if self._loop is not None:
            self._loop.call_later(ROUND_S, self._round)
        self._do_soon()
        for user in self._users if self.connected else ():
            user.each_round()


def _done(job: Job) -> None:
    """Do a job; where its channel was closed meanwhile, whoever looks after the channel has heard of it."""
    with suppress(*LOST):
        job()


def _root(error: Any) -> BaseException:
    """Return what lies below the layers in which pika wraps why a connection failed."""
    while True:
        if isinstance(error, AMQPConnectionWorkflowFailed):
            error = error.exceptions[-1]
        elif isinstance(error, AMQPConnectorPhaseErrorBase):
            error = error.exception
        elif isinstance(error, BaseException) and error.args and isinstance(error.args[0], BaseException):
            error = error.args[0]
        else:
            return error if isinstance(error, BaseException) else ConnectionError(str(error))


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
