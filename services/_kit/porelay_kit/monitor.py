"""Whether a worker is alive and ready, and its metrics, over HTTP: /livez, /readyz and /metrics."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import generate_latest

from porelay_kit.broker.base import Pulse
from porelay_kit.meter import Meter
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadInput, PorelayError

STORE_CHECK_S = 5.0


class Health:
    """Whether a worker is alive and whether it is ready; each answer is the list of what is wrong."""

    def __init__(self, pulse: Callable[[], Pulse], store: Store, draining: Callable[[], bool]) -> None:
        self._pulse, self._store, self._draining = pulse, store, draining
        self._looked, self._trouble = 0.0, ""
        self._lock = threading.Lock()

    def live(self) -> Iterator[str]:
        """Yield why it should be started anew: a connection that nobody serves, a consumer that gets nothing."""
        pulse = self._pulse()
        if pulse.tick_age_s > 2 * pulse.heartbeat_s:
            yield f"the I/O loop has not gone round for {pulse.tick_age_s:.0f} s"
        if pulse.connected and not pulse.consuming and not self._draining():
            yield "connected, but no consumer is active"

    def ready(self) -> Iterator[str]:
        """Yield what keeps it from work."""
        pulse = self._pulse()
        if self._draining():
            yield "it is asked to end"
        if not pulse.connected:
            yield "not connected to the broker"
        elif not pulse.consuming:
            yield "no consumer is active"
        if pulse.alarm:
            yield (
                f"the broker takes no messages, for it has an alarm ({pulse.alarm}). "
                "Free memory or disk there; it goes on by itself."
            )
        if trouble := self._store_trouble():
            yield trouble

    def _store_trouble(self) -> str:
        with self._lock:
            if time.monotonic() - self._looked > STORE_CHECK_S:
                self._looked = time.monotonic()
                try:
                    self._store.exists("plans/none.json")
                    self._trouble = ""
                except PorelayError as error:
                    self._trouble = str(error)
            return self._trouble


def show(port: int, meter: Meter, health: Health) -> ThreadingHTTPServer:
    """Serve /livez, /readyz and /metrics on a port (0: any free one) from a thread; raise BadInput where it is taken.

    `server_port` of what is returned tells which; `shutdown()` ends it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(meter.registry))
            elif path in ("/livez", "/readyz"):
                wrong = list(health.live() if path == "/livez" else health.ready())
                body = json.dumps({"ok": not wrong, "wrong": wrong}).encode() + b"\n"
                self._answer(503 if wrong else 200, "application/json", body)
            else:
                self._answer(404, "text/plain", b"known: /livez /readyz /metrics\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing: probes come every few seconds."""

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        raise BadInput(
            f"settings: port {port} for /livez, /readyz and /metrics cannot be used ({error.strerror}). "
            "Set PORELAY_HEALTH_PORT to a free one, or to 0."
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="monitor", daemon=True).start()
    return server
