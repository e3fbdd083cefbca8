"""A connection to RabbitMQ with a thread of its own, which connects again whenever it is lost.

pika's BlockingConnection answers heartbeats only while somebody pumps it, so nobody else touches it: other threads hand
in jobs. A channel that the server closed (a delivery held for too long) raises nothing by itself: after each round the
owner is asked whether all is still well.
"""

import logging
import queue
import random
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pika
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from porelay_schemas.errors import BadInput, BrokerUnavailable

T = TypeVar("T")
Job = Callable[[], T]

HEARTBEAT_S = 30
ROUND_S = 1.0
PAUSE_S = (0.1, 10.0)
SOCKET_S = 10.0
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
    found.blocked_connection_timeout = 2 * HEARTBEAT_S
    return found


def where(found: Any) -> str:
    """Return an address without user and password."""
    scheme = "amqps" if found.ssl_options else "amqp"
    return f"{scheme}://{found.host}:{found.port}/{quote(found.virtual_host, safe='')}"


def refused(error: BaseException, found: Any) -> BadInput | BrokerUnavailable:
    """Return in words why a connection could not be had."""
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
    reason = " ".join(str(error).split()) or type(error).__name__
    return BrokerUnavailable(
        f"broker {where(found)}: no answer ({reason}). Check PORELAY_AMQP_URL, the network and the broker; "
        "`porelay doctor` tells more."
    )


class Link:
    """The thread and its connection."""

    def __init__(
        self, found: Any, *, opened: Callable[[Any], None], well: Callable[[], bool], lost: Callable[[], None]
    ) -> None:
        self._found, self._opened, self._well, self._lost = found, opened, well, lost
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any]]] = queue.SimpleQueue()
        self._connection: Any = None
        self._closing = threading.Event()
        self._first: Future[None] = Future()
        self._trouble: BaseException = TimeoutError("not connected yet")
        self.ticked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="amqp", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether there is a connection that works."""
        return self._connection is not None

    def start(self, within_s: float) -> None:
        """Connect; raise BadInput where we are not let in, BrokerUnavailable where nobody answers in time."""
        self._thread.start()
        try:
            self._first.result(within_s)
        except (FutureTimeout, *LOST) as error:
            self.close()
            raise refused(self._trouble, self._found) from error

    def call(self, job: Job[T], within_s: float) -> T:
        """Run a job in the thread, as soon as there is a connection, and return what it returns.

        Raises what it raises; BrokerUnavailable where there was no connection in time.
        """
        future: Future[T] = Future()
        self._jobs.put((job, future))
        self._wake()
        try:
            return future.result(within_s)
        except (FutureTimeout, CancelledError) as error:
            future.cancel()
            raise refused(self._trouble, self._found) from error

    def post(self, job: Job[None]) -> None:
        """Run a job in the thread if there is a connection; whether it worked is not told."""
        if self.connected:
            self._jobs.put((job, Future()))
            self._wake()

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(*LOST):
                connection.add_callback_threadsafe(lambda: None)

    def close(self) -> None:
        """Leave."""
        self._closing.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(2 * SOCKET_S)

    def _run(self) -> None:
        pause = PAUSE_S[0]
        while not self._closing.is_set():
            self.ticked = time.monotonic()
            try:
                self._session()
                pause = PAUSE_S[0]
            except LOST as error:
                if self._connection is not None:
                    pause = PAUSE_S[0]
                self._trouble = error
                if not self._first.done() and _hopeless(error):
                    self._first.set_exception(error)
            self._end_session()
            self._closing.wait(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, PAUSE_S[1])
        self._refuse_all()

    def _session(self) -> None:
        connection = pika.BlockingConnection(self._found)
        try:
            self._opened(connection)
            self._connection = connection
            if not self._first.done():
                self._first.set_result(None)
            while not self._closing.is_set() and self._well():
                self.ticked = time.monotonic()
                self._do_jobs()
                connection.process_data_events(time_limit=0 if not self._jobs.empty() else ROUND_S)
            self._do_jobs()
        finally:
            with suppress(*LOST):
                connection.close()

    def _do_jobs(self) -> None:
        while True:
            try:
                job, future = self._jobs.get_nowait()
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except LOST as error:
                future.set_exception(error)
                raise
            except BaseException as error:
                future.set_exception(error)

    def _end_session(self) -> None:
        self._connection = None
        self._lost()

    def _refuse_all(self) -> None:
        while True:
            try:
                _, future = self._jobs.get_nowait()
            except queue.Empty:
                return
            future.cancel()


def _hopeless(error: BaseException) -> bool:
    """Return whether waiting cannot help: nobody listens, we are not let in, or we do not trust who is there."""
    return isinstance(error, (AMQPConnectionError, ssl.SSLCertVerificationError))
