"""A way to a broker, for probes: each has a channel of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

from porelay_kit.broker import link
from porelay_kit.settings import Settings

TIMEOUT_S = 5.0


class Bus:
    """A way to a broker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connection: Any = None

    def parameters(self) -> Any:
        """Return where and how to connect; raise BadInput where the address or a certificate cannot be used."""
        url, given = self.settings.amqp_url, self.settings
        tls = link.Tls(given.amqp_ca_file, given.amqp_cert_file, given.amqp_key_file)
        found = link.parameters(url.get_secret_value() if url else "", tls)
        found.socket_timeout = found.stack_timeout = found.blocked_connection_timeout = TIMEOUT_S
        return found

    @property
    def where(self) -> str:
        """Its address, without user and password."""
        return link.where(self.parameters())

    def connect(self, **other: str) -> Any:
        """Open a connection, as somebody else where `username` or `password` is given."""
        parameters = self.parameters()
        who = {"username": parameters.credentials.username, "password": parameters.credentials.password}
        parameters.credentials = pika.PlainCredentials(**(who | other))
        return pika.BlockingConnection(parameters)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Yield a channel with confirms; connect again where the connection was lost."""
        if self._connection is None or self._connection.is_closed:
            self._connection = self.connect()
        channel = self._connection.channel()
        channel.confirm_delivery()
        try:
            yield channel
        finally:
            if channel.is_open:
                channel.close()

    @property
    def product(self) -> dict[str, Any]:
        """What the server says of itself."""
        with self.channel() as channel:
            return dict(channel.connection._impl.server_properties)

    def close(self) -> None:
        """Leave; our queues go with the connection."""
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
