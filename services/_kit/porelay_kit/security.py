"""The files of `porelay topology plan --out`: users, rights and set-up of both servers, to be read and applied.

Passwords are made once: a file below `secrets/` that is there is kept, so that a second plan changes nothing. Each
folder below `secrets/` is one service's, its files ready for `PORELAY_<NAME>_FILE`.
"""

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from porelay_kit.broker import permissions
from porelay_kit.store import policies
from porelay_kit.store.setup import INBOX, MINIO_TARGET, topic

EVENTS = ["s3:ObjectCreated:*"]
TARGET = "PORELAY"
"""Name of MinIO's notification target: the suffix of its variables, and part of the target's ARN."""


@dataclass(frozen=True)
class Site:
    """What the files are made for."""

    amqp: str
    """Address of the broker, without user: `amqps://host:5671`."""
    vhost: str
    s3: str
    """Address of the S3 server: `https://host:port`."""
    bucket: str

    @classmethod
    def of(cls, amqp_url: str, s3_url: str) -> "Site":
        """Read the addresses; what a site has not set yet gets a name to be replaced."""
        amqp = urlsplit(amqp_url or "amqps://rabbitmq.example:5671/porelay")
        s3 = urlsplit(s3_url or "https://s3.example/porelay")
        port = amqp.port or (5671 if amqp.scheme == "amqps" else 5672)
        return cls(
            amqp=f"{amqp.scheme}://{amqp.hostname}:{port}",
            vhost=_vhost(amqp.path),
            s3=f"{s3.scheme}://{s3.netloc}",
            bucket=s3.path.strip("/"),
        )

    def amqp_url(self, user: str, password: str) -> str:
        """Return the address with a user."""
        scheme, _, host = self.amqp.partition("://")
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}/{quote(self.vhost, safe='')}"


def _vhost(path: str) -> str:
    return unquote(path[1:]) if len(path) > 1 else "/"


def write(folder: Path, site: Site, topology: Mapping[str, Any]) -> list[Path]:
    """Write all files below `folder`; return those that are new or have changed."""
    changed: list[Path] = []
    passwords = {one.name: _amqp_secret(folder, site, one.name, changed) for one in permissions.accounts()}
    for grant in policies.grants():
        _secret(folder / "secrets" / grant.name / "s3_access_key", grant.name, changed)
        _secret(folder / "secrets" / grant.name / "s3_secret_key", secrets.token_hex(20), changed)
    for name, content in _documents(folder, site, topology, passwords).items():
        _keep(folder / name, content, changed)
    return changed


def _documents(folder: Path, site: Site, topology: Mapping[str, Any], passwords: Mapping[str, str]) -> dict[str, str]:
    arns = [(grant, policies.ceph_user(grant.name)) for grant in policies.grants()]
    users = _users(folder, site, passwords)
    documents = {
        "rabbitmq/definitions.json": _json(dict(topology) | users),
        "rabbitmq/users.json": _json(users),
        "s3/bucket-policy.json": _json(policies.bucket_policy(arns, site.bucket)),
        "s3/notification-minio.json": _json(minio_notification()),
        "s3/notification-ceph.json": _json(ceph_notification(site.bucket)),
        "s3/minio.sh": minio_commands(site),
        "s3/ceph.sh": ceph_commands(site),
    }
    for grant in policies.grants():
        documents[f"s3/policies/{grant.name}.json"] = _json(policies.identity_policy(grant, site.bucket))
    return documents


def _users(folder: Path, site: Site, passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return users and rights; hashes of passwords that have not changed are kept, for their salt is random."""
    made = permissions.definitions(permissions.accounts(), site.vhost, dict(passwords))
    before = _read(folder / "rabbitmq" / "users.json").get("users", [])
    hashes = {user["name"]: user["password_hash"] for user in before}
    for user in made["users"]:
        old = hashes.get(user["name"], "")
        if permissions.fits(passwords[user["name"]], old):
            user["password_hash"] = old
    return {"vhosts": [{"name": site.vhost}]} | made


def minio_notification() -> dict[str, Any]:
    """Return the bucket's notification for MinIO."""
    return {"QueueConfigurations": [_rule() | {"QueueArn": MINIO_TARGET}]}


def ceph_notification(bucket: str) -> dict[str, Any]:
    """Return the bucket's notification for Ceph."""
    return {"TopicConfigurations": [_rule() | {"TopicArn": f"arn:aws:sns:default::{topic(bucket)}"}]}


def _rule() -> dict[str, Any]:
    prefix = {"Key": {"FilterRules": [{"Name": "prefix", "Value": INBOX}]}}
    return {"Id": "porelay", "Events": EVENTS, "Filter": prefix}


def minio_commands(site: Site) -> str:
    """Return how an administrator sets MinIO up."""
    users = "\n".join(
        f'mc admin user add site {name} "$(cat ../secrets/{name}/s3_secret_key)"\n'
        f"mc admin policy create site {name} policies/{name}.json\n"
        f"mc admin policy attach site {name} --user {name}"
        for name in (grant.name for grant in policies.grants())
    )
    bucket = shlex.quote(f"site/{site.bucket}")
    return f"""\
#!/bin/sh
# Sets MinIO up for Porelay. `mc alias set site {site.s3} ADMIN SECRET` first.
# The server itself must have been started with these variables (the password: ../secrets/porelay-bucket/amqp_url):
#   MINIO_NOTIFY_AMQP_ENABLE_{TARGET}=on
#   MINIO_NOTIFY_AMQP_URL_{TARGET}={site.amqp_url("porelay-bucket", "PASSWORD")}
#   MINIO_NOTIFY_AMQP_EXCHANGE_{TARGET}=ingest
#   MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_{TARGET}=fanout
#   MINIO_NOTIFY_AMQP_DURABLE_{TARGET}=on
#   MINIO_NOTIFY_AMQP_DELIVERY_MODE_{TARGET}=2
#   MINIO_NOTIFY_AMQP_QUEUE_DIR_{TARGET}=/var/lib/minio/events    (kept there while the broker is away)
set -eu
cd "$(dirname "$0")"
mc mb --ignore-existing {bucket}
{users}
mc event add --ignore-existing {bucket} {MINIO_TARGET} --event put --prefix {INBOX}
"""


def ceph_commands(site: Site) -> str:
    """Return how an administrator sets Ceph's gateway up."""
    users = "\n".join(
        f"radosgw-admin user create --uid={name} --display-name={name} "
        f'--access-key={name} --secret-key="$(cat ../secrets/{name}/s3_secret_key)"'
        for name in (grant.name for grant in policies.grants())
    )
    endpoint, bucket = shlex.quote(f"--endpoint-url={site.s3}"), shlex.quote(site.bucket)
    return f"""\
#!/bin/sh
# Sets Ceph's S3 gateway up for Porelay, with Ceph's and the AWS client. The operator owns the bucket.
# The topic's address carries a password; Ceph takes it over HTTPS only.
set -eu
cd "$(dirname "$0")"
{users}
export AWS_ACCESS_KEY_ID=porelay-operator AWS_DEFAULT_REGION=us-east-1
AWS_SECRET_ACCESS_KEY="$(cat ../secrets/porelay-operator/s3_secret_key)" && export AWS_SECRET_ACCESS_KEY
aws {endpoint} s3api create-bucket --bucket {bucket}
aws {endpoint} s3api put-bucket-policy --bucket {bucket} --policy file://bucket-policy.json
aws {endpoint} sns create-topic --name {shlex.quote(topic(site.bucket))} --attributes \\
  "push-endpoint=$(cat ../secrets/porelay-bucket/amqp_url),amqp-exchange=ingest,amqp-ack-level=broker"
aws {endpoint} s3api put-bucket-notification-configuration --bucket {bucket} \\
  --notification-configuration file://notification-ceph.json
"""


def _amqp_secret(folder: Path, site: Site, name: str, changed: list[Path]) -> str:
    """Return the password of a user of the broker, made where there is none; write its address beside."""
    password = _secret(folder / "secrets" / name / "amqp_password", secrets.token_hex(24), changed)
    _keep(folder / "secrets" / name / "amqp_url", site.amqp_url(name, password), changed, private=True)
    return password


def _secret(path: Path, made: str, changed: list[Path]) -> str:
    if not path.exists():
        _keep(path, made, changed, private=True)
    return path.read_text(encoding="utf-8").strip()


def _keep(path: Path, content: str, changed: list[Path], *, private: bool = False) -> None:
    """Write a file unless it has that content; nobody else may read a private one, not even while it is written."""
    if path.exists() and path.read_text(encoding="utf-8") == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
    path.touch(mode=0o600 if private else 0o644)
    path.write_text(content, encoding="utf-8")
    changed.append(path)


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found
