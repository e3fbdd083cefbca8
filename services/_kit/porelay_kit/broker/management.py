"""RabbitMQ's HTTP interface: what cannot be seen or set over AMQP."""

import json
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import urllib3

from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, BrokerUnavailable

TIMEOUT_S = 10.0


class Management:
    """The interface of one broker, for one user."""

    def __init__(self, url: str, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput("settings: PORELAY_AMQP_MANAGEMENT_URL: wanted http[s]://user:password@host:15672.")
        self.where = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}"
        self._prefix = f"{self.where}{parts.path.rstrip('/')}/api"
        who = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
        self._headers = urllib3.make_headers(basic_auth=who)
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False, ca_certs=ca_file, cert_reqs="CERT_REQUIRED")

    @classmethod
    def open(cls, settings: Settings) -> "Management | None":
        """Return the interface that the settings name, None where they name none."""
        url = settings.amqp_management_url
        ca_file = str(settings.amqp_ca_file) if settings.amqp_ca_file else None
        return cls(url.get_secret_value(), ca_file) if url else None

    def ask(self, method: str, path: str, body: object = None) -> urllib3.BaseHTTPResponse:
        """Send a request for `path`, below `/api/`.

        Raises BrokerUnavailable where nobody answers, BadInput where the user may not.
        """
        data = None if body is None else json.dumps(body)
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        try:
            answer = self._pool.request(method, f"{self._prefix}/{path}", headers=headers, body=data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise BrokerUnavailable(
                f"RabbitMQ's HTTP interface {self.where}: {error}. Check PORELAY_AMQP_MANAGEMENT_URL, and that the "
                "plugin runs: `rabbitmq-plugins enable rabbitmq_management`."
            ) from error
        if answer.status in (401, 403):
            raise BadInput(
                f"RabbitMQ's HTTP interface {self.where}: {answer.status} for {path}. Check the user and password in "
                "PORELAY_AMQP_MANAGEMENT_URL; the user needs the tag `monitoring`, and `policymaker` to set policies."
            )
        return answer

    def get(self, *path: str) -> Any:
        """Return what lies at a path, its parts not quoted yet; None where there is nothing."""
        answer = self.ask("GET", "/".join(quote(part, safe="") for part in path))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise BrokerUnavailable(
                f"RabbitMQ's HTTP interface {self.where}: {answer.status} for {'/'.join(path)}. Look at its log."
            )
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise BrokerUnavailable(
                f"PORELAY_AMQP_MANAGEMENT_URL: what answers at {self.where} is not RabbitMQ's HTTP interface. "
                "Give the address and port of its management plugin (15672)."
            ) from error

    def put(self, body: object, *path: str) -> None:
        """Set what lies at a path."""
        answer = self.ask("PUT", "/".join(quote(part, safe="") for part in path), body)
        if answer.status >= 300:
            reason = answer.data.decode(errors="replace")
            raise BadInput(f"RabbitMQ's HTTP interface {self.where}: {answer.status} for {'/'.join(path)}: {reason}")

    def date(self) -> str | None:
        """Return the server's time as its Date header has it."""
        return self.ask("GET", "whoami").headers.get("Date")
