"""The bucket, and that its server tells the broker of drops: what is missing, and how to put it there.

Ceph learns of the broker by a topic, which anybody may make who owns the bucket. MinIO learns of it by variables of its
own process. Other servers tell nobody, or need their administrator; there the sweep finds drops.
"""

import re
from collections.abc import Iterator
from typing import Literal

from porelay_kit.steps import Step
from porelay_kit.store.wire import Refused, Reply, Wire

INBOX, EXCHANGE = "inbox/", "ingest"
MINIO_TARGET = "arn:minio:sqs::PORELAY:amqp"
"""The target that MinIO makes of its variables `MINIO_NOTIFY_AMQP_..._PORELAY`."""

ATTRIBUTES = {"amqp-exchange": EXCHANGE, "amqp-ack-level": "broker"}
"""Of Ceph's topic. Not `persistent`: with that the gateway of Ceph 16.2 died after some events; drops are swept."""

Kind = Literal["ceph", "minio", "other"]


def steps(wire: Wire, notify_url: str | None, *, apply: bool = False) -> Iterator[Step]:
    """Yield what is to be done, or where `apply` is set, what has been done.

    `notify_url` is the broker as the S3 server shall reach it. Raises StoreUnavailable, and Refused where the keys do
    not suffice.
    """
    there = wire.ask("HEAD").status != 404
    if not there and apply:
        wire.ask("PUT").checked()
    yield Step("=" if there else "+", f"bucket {wire.bucket}")
    if there or apply:
        yield _notification(wire, notify_url, apply=apply)
    else:
        yield Step("+", "notification of drops, once the bucket is there")


def kind(wire: Wire) -> Kind:
    """Return what serves a bucket that is there."""
    headers = wire.ask("HEAD").checked().headers
    if any(name.lower().startswith("x-rgw-") for name in headers):
        return "ceph"
    return "minio" if "minio" in headers.get("Server", "").lower() else "other"


def _notification(wire: Wire, notify_url: str | None, *, apply: bool) -> Step:
    server = kind(wire)
    if server == "ceph":
        return _ceph(wire, notify_url, apply=apply)
    if server == "minio":
        return _minio(wire, apply=apply)
    return Step(
        "-", "notification of drops", "This server's administrator sets it up; the sweep finds drops without it."
    )


def topic(bucket: str) -> str:
    """Return the name of Ceph's topic for the drops of a bucket."""
    return f"porelay-{bucket}"


def topic_exchange(wire: Wire, arn: str) -> str | None:
    """Return the exchange that a topic of Ceph feeds, None where there is no such topic or the server does not say."""
    return _topic_attributes(wire, arn).get("amqp-exchange")


def _topic_attributes(wire: Wire, arn: str) -> dict[str, str]:
    reply = wire.form({"Action": "GetTopic", "TopicArn": arn})
    text = reply.text("EndpointArgs") if reply.status == 200 else None
    return dict(part.partition("=")[::2] for part in (text or "").split("&"))


def told(reply: Reply) -> list[str]:
    """Return the targets that a bucket's notification configuration names."""
    return [text for tag in ("Topic", "Queue", "CloudFunction") for text in reply.texts(tag) if text]


def _ceph(wire: Wire, notify_url: str | None, *, apply: bool) -> Step:
    what, now = f"notification of drops to the exchange {EXCHANGE}", wire.ask("GET", query={"notification": ""})
    ours = [arn for arn in told(now) if arn.endswith(f":{topic(wire.bucket)}")]
    has = _topic_attributes(wire, ours[0]) if ours else {}
    wanted = ATTRIBUTES | ({"push-endpoint": notify_url} if notify_url else {})
    if ours and has | wanted == has:
        return Step("=", what)
    if not notify_url:
        road = (
            "The sweep finds drops all the same, minutes later. To be told at once, give the broker's address as the "
            "S3 server shall use it: `porelay topology apply --notify-url amqps://user:password@host/vhost`"
        )
        return Step("-", what, road)
    if apply:
        try:
            _configure(wire, "Topic", _create_topic(wire, notify_url))
        except Refused as error:
            return Step(
                "!", what, f"Ceph refuses it ({error}); over HTTP it takes no password (deploy/security/README.md)"
            )
    return Step("~" if ours else "+", what)


def _create_topic(wire: Wire, notify_url: str) -> str:
    attributes = {"push-endpoint": notify_url} | ATTRIBUTES
    form = {"Action": "CreateTopic", "Name": topic(wire.bucket)}
    for number, (name, value) in enumerate(attributes.items(), 1):
        form |= {f"Attributes.entry.{number}.key": name, f"Attributes.entry.{number}.value": value}
    return wire.form(form).checked().text("TopicArn") or ""


def _minio(wire: Wire, *, apply: bool) -> Step:
    what = f"notification of drops to {MINIO_TARGET}"
    if MINIO_TARGET in told(wire.ask("GET", query={"notification": ""}).checked()):
        return Step("=", what)
    if apply:
        try:
            _configure(wire, "Queue", MINIO_TARGET)
        except Refused as error:
            road = "Start MinIO with the variables that s3/minio.sh of `porelay topology plan --out DIR` shows."
            return Step("!", what, f"MinIO refuses it ({error}). {road}")
    return Step("+", what)


def _configure(wire: Wire, target: str, arn: str) -> None:
    """Add our notification to those that the bucket has."""
    rule = f"<FilterRule><Name>prefix</Name><Value>{INBOX}</Value></FilterRule>"
    ours = (
        f"<{target}Configuration><Id>porelay</Id><{target}>{arn}</{target}><Event>s3:ObjectCreated:*</Event>"
        f"<Filter><S3Key>{rule}</S3Key></Filter></{target}Configuration>"
    )
    others = _others(wire.ask("GET", query={"notification": ""}))
    body = f"<NotificationConfiguration>{others}{ours}</NotificationConfiguration>".encode()
    wire.ask("PUT", query={"notification": ""}, body=body).checked()


def _others(reply: Reply) -> str:
    """Return the notifications of others as the server has them, for a put replaces all."""
    found = re.findall(r"<(\w+Configuration)>(.*?)</\1>", _inner(reply), re.DOTALL)
    return "".join(f"<{tag}>{body}</{tag}>" for tag, body in found if "<Id>porelay</Id>" not in body)


def _inner(reply: Reply) -> str:
    text = reply.body.decode() if reply.status == 200 else ""
    found = re.search(r"<NotificationConfiguration[^>]*>(.*)</NotificationConfiguration>", text, re.DOTALL)
    return found[1] if found else ""
