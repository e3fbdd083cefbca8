"""Who may do what on the broker: one user a service, each with the least that its work needs.

RabbitMQ grants by regular expression: `configure` (declare, delete), `write` (publish, bind a queue) and `read`
(consume, bind to an exchange), and on a topic exchange by routing key, too. Nobody but an administrator declares what
lasts; a worker's own queue for events and commands is named by the server (`amq.gen-...`) and goes with its connection.
Rights hold for all generations of a queue, so that workers of two releases work side by side.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from porelay_schemas.route import STAGES

OWN = r"amq\.gen-.*"
"""Queues that the server named for one connection."""
NOTHING = "^$"
EVERYTHING = ".*"
INTAKE = "intake"


@dataclass(frozen=True)
class Topics:
    """Routing keys that a user may send to, and listen to, on a topic exchange."""

    exchange: str
    write: str
    read: str = EVERYTHING


@dataclass(frozen=True)
class Account:
    """A user of the broker and its rights."""

    name: str
    about: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    topics: tuple[Topics, ...] = ()
    tags: tuple[str, ...] = ()

    def permission(self, vhost: str) -> dict[str, str]:
        """Return its entry in a definitions file."""
        rights = {"configure": self.configure, "write": self.write, "read": self.read}
        return {"user": self.name, "vhost": vhost} | rights

    def topic_permissions(self, vhost: str) -> list[dict[str, str]]:
        """Return its entries for topic exchanges in a definitions file."""
        user = {"user": self.name, "vhost": vhost}
        return [user | {"exchange": one.exchange, "write": one.write, "read": one.read} for one in self.topics]


def accounts() -> tuple[Account, ...]:
    """Return all users: one a stage, the people, and the servers."""
    return (*(_worker(stage) for stage in STAGES), *_people(), *_servers())


def _worker(stage: str) -> Account:
    served = [stage, INTAKE] if stage == "ingest" else [stage]
    queues = [rf"{re.escape(name)}\.v\d+" for name in served]
    return Account(
        name=f"porelay-{stage}",
        about=f"workers of {stage}: take its requests, ask the next stage, retry, park, tell",
        configure=f"^{OWN}$",
        write=_any("work", r"retry\..*", "dlx", "events", OWN),
        read=_any(*queues, "control", "events", OWN),
        topics=(
            Topics("events", write=rf"^(run\.[^.]+\.{re.escape(stage)}\.[^.]+|worker\..+)$"),
            Topics("dlx", write=_any(*queues), read=NOTHING),
        ),
    )


def _people() -> tuple[Account, ...]:
    return (
        Account(
            name="porelay-submit",
            about="who drops stacks and watches runs: listens, and changes nothing",
            configure=f"^{OWN}$",
            write=_any(OWN),
            read=_any("events", OWN),
        ),
        Account(
            name="porelay-operator",
            about="cancel, dlq, reconcile, doctor: sends and reads everywhere, declares nothing that lasts",
            configure=f"^{OWN}$",
            write=_any("work", r"retry\..*", "dlx", "events", "control", r"amq\.default", OWN),
            read=EVERYTHING,
            tags=("monitoring",),
        ),
        Account(
            name="porelay-admin",
            about="`porelay topology apply`: declares exchanges and queues, sets policies",
            configure=EVERYTHING,
            write=EVERYTHING,
            read=EVERYTHING,
            tags=("policymaker", "monitoring"),
        ),
    )


def _servers() -> tuple[Account, ...]:
    return (
        Account(
            name="porelay-bucket",
            about="the S3 server: tells of drops (MinIO declares the exchange each time, Ceph a queue for returns)",
            configure=_any("ingest", OWN),
            write=_any("ingest"),
            read=_any(OWN),
        ),
        Account(
            name="porelay-monitor",
            about="Prometheus and KEDA: look at queue lengths over HTTP, see no message",
            tags=("monitoring",),
        ),
    )


def _any(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"


def password_hash(password: str, salt: bytes | None = None) -> str:
    """Return the salted SHA-256 that RabbitMQ keeps of a password."""
    salt = os.urandom(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def fits(password: str, hashed: str) -> bool:
    """Return whether a hash that the broker keeps is that password's."""
    return bool(hashed) and password_hash(password, base64.b64decode(hashed)[:4]) == hashed


def definitions(users: Iterable[Account], vhost: str, passwords: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return `users`, `permissions` and `topic_permissions` of a definitions file; passwords as hashes only."""
    users = list(users)
    return {
        "users": [
            {
                "name": user.name,
                "password_hash": password_hash(passwords[user.name]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": list(user.tags),
                "limits": {},
            }
            for user in users
        ],
        "permissions": [user.permission(vhost) for user in users],
        "topic_permissions": [entry for user in users for entry in user.topic_permissions(vhost)],
    }
