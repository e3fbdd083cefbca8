"""A worker process: the worker, what goes with it, what is shown of it, and how it ends.

The worker runs in a thread of its own, so that the main thread hears SIGTERM at once whatever a library is doing.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import EntryPoint, entry_points
from types import FrameType

from porelay_kit.bench import Progress
from porelay_kit.broker import open_broker
from porelay_kit.broker.base import Broker, Delivery, Pulse
from porelay_kit.census import Census
from porelay_kit.log import Log, WorkerLog
from porelay_kit.meter import Meter
from porelay_kit.meter_store import metered
from porelay_kit.monitor import Health, show
from porelay_kit.runner.child import Isolated
from porelay_kit.runner.state import Notes
from porelay_kit.runner.worker import Observer, Outcome, Worker
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.base import Store
from porelay_schemas.manifest import Run

COMPANIONS = "porelay.companion"
PAUSE_S = (1.0, 60.0)
PATIENCE_S = 60.0
"""How long beyond its limit a stage may go on that tells nobody how far it is."""

POLL_S = 0.2


def serve(stages: tuple[str, ...], settings: Settings, log: Log, leaving: threading.Event) -> None:
    """Serve stages until told to leave; what cannot be finished within the grace then comes again to somebody.

    Raises BadInput, StoreUnavailable or BrokerUnavailable where it cannot begin.
    """
    with closing(open_broker(settings)) as broker:
        store = checked(settings)
        ended = work(stages, broker, store, settings, log, leaving, connect=lambda: open_broker(settings))
    if not ended:
        _end_at_once()


def checked(settings: Settings) -> Store:
    """Return the store, when it answers and the broker has all that is needed; raise as `serve` does."""
    store = open_store(settings)
    store.exists("plans/none.json")
    check_topology(settings)
    return store


def work(
    stages: tuple[str, ...],
    broker: Broker,
    store: Store,
    settings: Settings,
    log: Log,
    leaving: threading.Event,
    *,
    connect: Callable[[], Broker],
) -> bool:
    """Work until told to leave; return whether what was in hand then was finished within the grace.

    `connect` opens the connections of companions. Raises what ended the worker before it was told to leave: a defect.
    """
    pulse = pulse_of(broker)
    meter = Meter(stages, pulse)
    meter.show_limits(stages, settings)
    store = metered(store, meter)
    isolated = Isolated(settings)
    worker = Worker(stages, broker, store, settings, do=isolated, observer=_Both(WorkerLog(log), meter))
    server = show(settings.health_port, meter, Health(pulse, store, leaving.is_set))
    if "ingest" in stages:
        Census(meter.registry, store).start(leaving)
    with _companions(stages, connect, store, settings, log, leaving):
        thread = _Thread(lambda: worker.work(leaving.is_set))
        thread.start()
        log.say("serving", stages=",".join(stages), store=store.url, port=server.server_port, pid=os.getpid())
        _wait(thread, leaving, pulse, log, lambda: worker.give_up(PATIENCE_S))
        thread.join(settings.grace_s)
        held = worker.held()
        leaving.set()
    server.shutdown()
    if thread.is_alive():
        log.say("left", stage=held.stage if held else None, run=held.run_id if held else None, grace_s=settings.grace_s)
        broker.close()
        isolated.kill()
        return False
    isolated.close()
    if thread.error is not None:
        raise thread.error
    log.say("ended")
    return True


def pulse_of(broker: Broker) -> Callable[[], Pulse]:
    """Return what tells how the broker's connection is; one without a connection is always well."""
    told: Callable[[], Pulse] | None = getattr(broker, "pulse", None)
    return told or (lambda: Pulse(0.0, 60.0, True, True))


def check_topology(settings: Settings) -> None:
    """Look whether the broker has all exchanges and queues, declaring none.

    Raises BadInput with what to do where it has not, BrokerUnavailable where nobody answers.
    """
    if settings.amqp_url is None:
        return
    import pika

    from porelay_kit.broker import link
    from porelay_kit.broker.topology import Topology

    tls = link.Tls(settings.amqp_ca_file, settings.amqp_cert_file, settings.amqp_key_file)
    found = link.parameters(settings.amqp_url.get_secret_value(), tls)
    try:
        with closing(pika.BlockingConnection(found)) as connection:
            Topology().check(connection)
    except link.LOST as error:
        raise link.refused(error, found) from error


def _wait(
    thread: threading.Thread,
    leaving: threading.Event,
    pulse: Callable[[], Pulse],
    log: Log,
    give_up: Callable[[], bool],
) -> None:
    """Wait until told to leave, or until the worker has ended; say when the connection is lost and when it is back.

    A worker whose stage goes on far beyond its limit is given up: the process leaves.
    """
    connected = True
    while thread.is_alive() and not leaving.wait(POLL_S):
        if give_up():
            log.say("gave up", why="its stage goes on beyond its limit; the process ends")
            leaving.set()
            return
        now = pulse().connected
        if now != connected:
            log.say("connected" if now else "connection lost")
        connected = now


class _Thread(threading.Thread):
    """A thread that keeps what ended it."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__(name="worker", daemon=True)
        self._do = target
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._do()
        except BaseException as error:
            self.error = error


class _Both(Observer):
    """Tells several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def began(self, delivery: Delivery) -> None:
        for observer in self._observers:
            observer.began(delivery)

    def progress(self, progress: Progress) -> None:
        for observer in self._observers:
            observer.progress(progress)

    def ended(self, delivery: Delivery, outcome: Outcome, seconds: float, detail: object) -> None:
        for observer in self._observers:
            observer.ended(delivery, outcome, seconds, detail)

    def run_ended(self, run: Run, notes: Notes) -> None:
        for observer in self._observers:
            observer.run_ended(run, notes)


@contextmanager
def _companions(
    stages: tuple[str, ...],
    connect: Callable[[], Broker],
    store: Store,
    settings: Settings,
    log: Log,
    leaving: threading.Event,
) -> Iterator[None]:
    """Run what installed packages have put beside these stages, each in a thread; wait for them at the end."""

    def accompany(entry: EntryPoint) -> None:
        pause = PAUSE_S[0]
        while not leaving.is_set():
            try:
                with closing(connect()) as broker:
                    entry.load()(broker, store, settings, leaving.is_set)
            except Exception as error:
                log.say("companion failed", companion=entry.value, error=type(error).__name__, text=str(error))
            leaving.wait(pause)
            pause = min(2 * pause, PAUSE_S[1])

    found = [entry for entry in entry_points(group=COMPANIONS) if entry.name in stages]
    threads = [threading.Thread(target=accompany, args=(entry,), name=entry.value, daemon=True) for entry in found]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(POLL_S * 10)


def leave_on_signals(leaving: threading.Event) -> None:
    """Set the event on SIGTERM and SIGINT; a second SIGINT ends the process at once."""

    def leave(number: int, frame: FrameType | None) -> None:
        if leaving.is_set() and number == signal.SIGINT:
            _end_at_once(1)
        leaving.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


def leave_with_parent(leaving: threading.Event) -> None:
    """Set the event when the process at the other end of the standard input is gone."""

    def wait() -> None:
        os.read(0, 1)  # not by `sys.stdin`, whose lock an interpreter that ends would wait for
        leaving.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _end_at_once(code: int = 0) -> None:
    """End without waiting for threads that are inside some library; what is held comes again to somebody."""
    sys.stderr.flush()
    os._exit(code)
