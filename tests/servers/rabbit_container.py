"""A RabbitMQ server in a container."""

import time
from pathlib import Path

from servers.containers import Box
from servers.rabbit import Rabbit

START_S = 90.0
AMQP, AMQPS, HTTP, METRICS = 5672, 5671, 15672, 15692
CONF = "/etc/rabbitmq/conf.d"


class RabbitContainer(Rabbit):
    """A server of an image that has the management plugin, lets guest in, and reads `conf.d`, as the public ones do."""

    def __init__(self, image: str) -> None:
        self._box = Box(image, (AMQP, AMQPS, HTTP, METRICS), hostname="porelay")
        super().__init__(self._at("amqp", AMQP), self._at("http", HTTP))
        self.metrics = f"{self._box.host}:{self._box.ports[METRICS]}"

    def _at(self, scheme: str, port: int) -> str:
        return f"{scheme}://guest:guest@{self._box.host}:{self._box.ports[port]}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._box.start()
        deadline = time.monotonic() + START_S
        while not self.answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not answer within {START_S:g} s: {self._box.logs()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it in good order."""
        self._box.stop()

    def kill(self) -> None:
        """Stop it as a power failure does."""
        self._box.kill()

    def _limit_memory(self, share: str) -> None:
        code, output = self._box.run("rabbitmqctl", "set_vm_memory_high_watermark", share)
        assert code == 0, output

    def serve_tls(self, authority: Path, certificate: Path, key: Path) -> str:
        """Serve TLS, too, for clients with a certificate of the authority; return its address."""
        given = {"cacertfile": authority, "certfile": certificate, "keyfile": key}
        theirs = {name: self._box.put(f"/etc/rabbitmq/{name}.pem", path.read_bytes()) for name, path in given.items()}
        options = theirs | {"verify": "verify_peer", "fail_if_no_peer_cert": "true"}
        lines = [f"listeners.ssl.default = {AMQPS}", *(f"ssl_options.{name} = {it}" for name, it in options.items())]
        self._box.put(f"{CONF}/90-tls.conf", "\n".join([*lines, ""]).encode())
        self.restart()
        return self._at("amqps", AMQPS)

    def close(self) -> None:
        """Delete it and all that it holds."""
        self._box.remove()
