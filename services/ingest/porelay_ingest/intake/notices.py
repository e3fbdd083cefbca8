"""Bucket notifications: what MinIO, AWS and Ceph send when an object was created. They are hints, never the truth.

They come at least once and in any order. MinIO and AWS encode the key as in a query, `/` included; Ceph does not, and
leaves out the `s3:` of the event. So a key is read in both ways, and the object that is in the store decides.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from porelay_schemas.errors import BadMessage

CREATED = "ObjectCreated:"
PLAIN_KEYS = "ceph:"
"""Sources whose keys are not encoded."""


@dataclass(frozen=True)
class Notice:
    """An object was created: `keys` are the readings of its key, the likelier first.

    `version` is the object's version or else its etag; `sequencer` orders the notices of one key.
    """

    bucket: str
    keys: tuple[str, ...]
    size_bytes: int | None
    version: str
    sequencer: str


def parse(body: bytes) -> list[Notice]:
    """Return the created objects that a notification tells of; raise BadMessage where it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"bucket notification: not JSON ({error}). Bind nothing but buckets to `ingest`.") from error
    records = document.get("Records") if isinstance(document, dict) else None
    if records is None and isinstance(document, dict) and document.get("Event") == "s3:TestEvent":
        return []
    if not isinstance(records, list):
        raise BadMessage(
            f"bucket notification: got {body[:80]!r}, wanted an object with `Records`. "
            "Bind nothing but buckets to the exchange `ingest`."
        )
    found = [_notice(record) for record in records]
    return [notice for notice in found if notice is not None]


def _notice(record: Any) -> Notice | None:
    try:
        if not record["eventName"].removeprefix("s3:").startswith(CREATED):
            return None
        bucket, item = record["s3"]["bucket"]["name"], record["s3"]["object"]
        return Notice(
            bucket=str(bucket),
            keys=_readings(str(item["key"]), str(record.get("eventSource", ""))),
            size_bytes=None if item.get("size") is None else int(item["size"]),
            version=str(item.get("versionId") or item.get("eTag") or item.get("etag") or ""),
            sequencer=str(item.get("sequencer") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadMessage(
            f"bucket notification: a record without event, bucket or key ({error!r}). "
            "Bind nothing but buckets to the exchange `ingest`."
        ) from error


def _readings(key: str, source: str) -> tuple[str, ...]:
    decoded = unquote_plus(key)
    if decoded == key:
        return (key,)
    return (key, decoded) if source.startswith(PLAIN_KEYS) else (decoded, key)


def key_in_store(notice: Notice, exists: Callable[[str], bool]) -> str | None:
    """Return the reading of a notice's key under which there is an object, None where there is none (any more)."""
    return next((key for key in notice.keys if exists(key)), None)


def of_inbox(notice: Notice, bucket: str | None, prefix: str) -> bool:
    """Return whether a notice is about our bucket and what lies below the prefix, and no folder of a file manager's."""
    ours = bucket is None or notice.bucket == bucket
    return ours and any(key.startswith(prefix) and not key.endswith("/") for key in notice.keys)


class Heard:
    """Which notices were dealt with: one that comes again, or is older than one of the same key, needs no look."""

    def __init__(self, most: int = 20_000) -> None:
        self._latest: OrderedDict[tuple[str, tuple[str, ...]], tuple[str, set[str]]] = OrderedDict()
        self._most = most

    def fresh(self, notice: Notice) -> bool:
        """Return whether a notice tells something new."""
        known = self._latest.get((notice.bucket, notice.keys))
        if known is None:
            return True
        sequencer, versions = known
        if notice.sequencer and sequencer and _order(notice.sequencer, sequencer) != 0:
            return _order(notice.sequencer, sequencer) > 0
        return notice.version not in versions or not (notice.version or notice.sequencer)

    def note(self, notice: Notice) -> None:
        """Remember a notice that was dealt with."""
        place = (notice.bucket, notice.keys)
        sequencer, versions = self._latest.pop(place, ("", set()))
        if _order(notice.sequencer, sequencer) >= 0:
            versions = versions | {notice.version} if notice.sequencer == sequencer else {notice.version}
            sequencer = notice.sequencer
        self._latest[place] = (sequencer, versions)
        if len(self._latest) > self._most:
            self._latest.popitem(last=False)


def _order(one: str, other: str) -> int:
    """Compare sequencers: hexadecimal texts, the shorter one filled up with zeros on the right."""
    width = max(len(one), len(other))
    a, b = one.upper().ljust(width, "0"), other.upper().ljust(width, "0")
    return (a > b) - (a < b)
