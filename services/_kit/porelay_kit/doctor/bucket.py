"""Probes of an S3 bucket as the store."""

import base64
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from porelay_kit.doctor import clock, space, volume
from porelay_kit.doctor.finding import Answer, Excuse, Finding, examine, fail, ok, unknown, unreachable, warn
from porelay_kit.settings import Settings
from porelay_kit.store.setup import EXCHANGE, INBOX, told, topic_exchange
from porelay_kit.store.wire import Refused, Wire
from porelay_schemas.errors import PorelayError, StoreUnavailable

PART_BYTES = 5 * 2**20
"""The smallest part that S3 allows but for the last."""
ODD_NAME = "odd/a b+c/ü=%41&.txt"
ONCE = {"If-None-Match": "*"}
LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Bench:
    """A bucket, and a place in it that is ours and will be gone."""

    settings: Settings
    wire: Wire
    prefix: str

    def key(self, name: str) -> str:
        """Return the key of an object of ours."""
        return f"{self.prefix}/{name}"

    def put(self, name: str, body: bytes, **headers: str) -> None:
        """Write an object."""
        self.wire.ask("PUT", self.key(name), headers=headers, body=body).checked()

    def get(self, name: str) -> bytes:
        """Read an object."""
        return self.wire.ask("GET", self.key(name)).checked().body

    def keys(self, folder: str) -> list[str]:
        """List our objects below a folder, in pages of three."""
        return [key.removeprefix(self.prefix + "/") for key in _keys(self.wire, self.key(folder), page=3)]


def check(settings: Settings) -> list[Finding]:
    """Probe a bucket below `doctor/`; nothing is left behind."""
    wire = Wire.open(settings)
    with _bench(settings, wire) as bench:
        return examine(f"store {wire.server}/{wire.bucket}", bench, PROBES, EXCUSE)


@contextmanager
def _bench(settings: Settings, wire: Wire) -> Iterator[Bench]:
    bench = Bench(settings, wire, f"doctor/{uuid4().hex[:12]}")
    try:
        yield bench
    finally:
        _clear(bench)


def _clear(bench: Bench) -> None:
    """Delete what the probes wrote; a server that does not answer, or lets nobody list, has nothing of ours."""
    try:
        for key in list(_keys(bench.wire, bench.prefix + "/")):
            bench.wire.ask("DELETE", key).checked()
    except (Refused, StoreUnavailable):
        return


def _keys(wire: Wire, prefix: str, page: int = 1000) -> Iterator[str]:
    query = {"list-type": "2", "prefix": prefix, "max-keys": str(page)}
    while True:
        reply = wire.ask("GET", query=query).checked()
        yield from reply.texts("Key")
        token = reply.text("NextContinuationToken")
        if not token:
            return
        query = query | {"continuation-token": token}


def reachable(bench: Bench) -> Answer:
    """The server answers, and the bucket is there and ours."""
    began = time.monotonic()
    try:
        reply = bench.wire.ask("GET", query={"list-type": "2", "max-keys": "1"})
        reply.checked()
    except StoreUnavailable as error:
        return unreachable(str(error), "")
    except Refused as error:
        return _no_way_in(bench, error)
    name = reply.headers.get("Server", "")
    return ok(f"answers in {1000 * (time.monotonic() - began):.0f} ms" + (f", says it is {name}" if name else ""))


def _no_way_in(bench: Bench, error: Refused) -> Answer:
    if error.status == 404:
        advice = "Make it with `porelay topology apply`, or name another in PORELAY_S3_URL."
        return fail(f"there is no bucket {bench.wire.bucket!r} ({error})", advice)
    if error.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return fail(f"it does not know us ({error})", "Check PORELAY_S3_ACCESS_KEY and PORELAY_S3_SECRET_KEY.")
    if error.status == 403:
        advice = "Check the keys; the doctor needs an operator's, who may write and delete below doctor/."
        return fail(f"this user may not list the bucket ({error})", advice)
    return fail(f"it does not answer as S3 does ({error})", "Check PORELAY_S3_URL.")


def wrong_credentials_refused(bench: Bench) -> Answer:
    """Who has a wrong secret is turned away."""
    for other in ({"secret_key": bench.wire.secret_key + "x"}, {"access_key": f"nobody-{uuid4().hex[:8]}"}):
        reply = replace(bench.wire, **other).ask("GET", query={"list-type": "2", "max-keys": "1"})
        if reply.status < 300:
            what = " and ".join(other).replace("_", " ")
            advice = "Anybody on the network can read and delete everything. Turn authentication on in the server."
            return fail(f"a wrong {what} was let in", advice)
    return ok(f"a wrong secret key and an unknown user get {reply.status}")


def encryption(bench: Bench) -> Answer:
    """Nobody on the way can read along."""
    if bench.wire.server.startswith("https:"):
        return ok("TLS, the server's certificate checked")
    if bench.wire.server.removeprefix("http://").startswith(LOOPBACK):
        return ok("none, and none is needed on this very machine")
    return warn("plain HTTP: stacks and results can be read on the way", "Use https:// (deploy/security/README.md).")


def objects(bench: Bench) -> Answer:
    """Put, get, list in pages, delete; what was done is seen at once."""
    advice = "Another server is needed: results would be missed, or seen half."
    names = [f"objects/{number}" for number in range(5)]
    for name in names:
        bench.put(name, name.encode())
    bench.put(names[0], b"replaced")
    if (got := bench.get(names[0])) != b"replaced":
        return fail(f"an object that was replaced came back as {got[:20]!r}", advice)
    if (listed := bench.keys("objects/")) != names:
        return fail(f"of 5 objects the listing in pages of 3 shows {listed}, wanted {names}", advice)
    for name in names:
        bench.wire.ask("DELETE", bench.key(name)).checked()
    left = bench.keys("objects/")
    if left or bench.wire.ask("GET", bench.key(names[0])).status != 404:
        return fail(f"objects that were deleted are still there: {left}", advice)
    return ok("put, replaced, read, listed in pages and deleted; each seen at once")


def bulk_delete(bench: Bench) -> Answer:
    """Many objects go with one request."""
    names = ["bulk/1", "bulk/a b+c"]
    for name in names:
        bench.put(name, b"")
    listed = "".join(f"<Object><Key>{bench.key(name)}</Key></Object>" for name in names)
    body = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    bench.wire.ask("POST", query={"delete": ""}, headers={"Content-MD5": digest}, body=body).checked()
    if left := bench.keys("bulk/"):
        return fail(
            f"after a request to delete two objects {left} are left", "Scratch and dead attempts would pile up."
        )
    return ok("two objects went with one request")


def odd_keys(bench: Bench) -> Answer:
    """Blanks, plus signs and UTF-8 in the names that people give their stacks."""
    bench.put(ODD_NAME, b"odd")
    listed, got = bench.keys("odd/"), bench.get(ODD_NAME)
    if listed != [ODD_NAME] or got != b"odd":
        advice = "Stacks with such names would be missed; drop them with letters, digits, '-' and '_' only."
        return warn(f"the key {ODD_NAME!r} is listed as {listed}", advice)
    return ok(f"{ODD_NAME!r} comes back as it went")


def metadata(bench: Bench) -> Answer:
    """An object keeps what is written on its label: a manifest names the attempt that it commits."""
    bench.put("labelled", b"{}", **{"x-amz-meta-attempt": "one-2"})
    kept = bench.wire.ask("HEAD", bench.key("labelled")).checked().headers.get("x-amz-meta-attempt")
    if kept != "one-2":
        return fail(f"the metadata of an object came back as {kept!r}, wanted 'one-2'", "Another server is needed.")
    return ok("the metadata of an object are kept")


def suffix_range(bench: Bench) -> Answer:
    """The last bytes of an object, by `Range: bytes=-N`: the index of a Zarr shard."""
    body = bytes(range(200))
    bench.put("suffix", body)
    reply = bench.wire.ask("GET", bench.key("suffix"), headers={"Range": "bytes=-16"})
    advice = "Volumes cannot be read there: the index of a Zarr shard is its last bytes. Another server is needed."
    if reply.status != 206:
        return fail(
            f"`Range: bytes=-16` is answered with {reply.status} and {len(reply.body)} bytes, wanted 206", advice
        )
    if reply.body != body[-16:]:
        return fail(f"`Range: bytes=-16` brings the wrong {len(reply.body)} bytes", advice)
    return ok("the last bytes of an object can be read")


def conditional_put(bench: Bench) -> Answer:
    """Of several that write the same new object at once, one wins: `If-None-Match: *`."""
    advice = (
        "Of two workers that end the same stage at once, the later wins, where elsewhere the first would. Results stay "
        "whole, since one manifest commits all; a server that enforces the condition is better."
    )
    statuses = [bench.wire.ask("PUT", bench.key("once"), headers=ONCE, body=body).status for body in (b"1", b"2")]
    kept = bench.get("once") if statuses[0] < 300 else b""
    if statuses[0] >= 300:
        return warn(f"`If-None-Match: *` is answered with {statuses[0]}", advice)
    if statuses[1] < 300:
        return warn(f"`If-None-Match: *` is ignored: the second of two was answered with {statuses[1]}", advice)
    if kept != b"1":
        return fail(f"the second of two was refused ({statuses[1]}), and yet it replaced the first", advice)
    return ok(f"`If-None-Match: *` is enforced: the second of two gets {statuses[1]}")


def multipart_upload(bench: Bench) -> Answer:
    """A big object goes in parts, and is seen whole or not at all."""
    key, tail = bench.key("parts"), os.urandom(1000)
    upload = {"uploadId": bench.wire.ask("POST", key, query={"uploads": ""}).checked().text("UploadId") or ""}
    try:
        tags = [_part(bench, key, upload, 1, bytes(PART_BYTES)), _part(bench, key, upload, 2, tail)]
        early = bench.wire.ask("HEAD", key).status
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in enumerate(tags, 1))
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        bench.wire.ask("POST", key, query=upload, body=body).checked()
    except Refused:
        bench.wire.ask("DELETE", key, query=upload)
        raise
    advice = "Stacks bigger than 5 GiB cannot be dropped there. Another server is needed."
    got = bench.wire.ask("GET", key, headers={"Range": f"bytes={PART_BYTES}-"}).body
    if got != tail:
        return fail(f"the end of an object of two parts came back as {len(got)} other bytes", advice)
    if early != 404:
        return fail(f"an unfinished upload is already seen (HEAD says {early})", advice)
    return ok("an object of two parts came back the same, and was not seen before its end")


def _part(bench: Bench, key: str, upload: dict[str, str], number: int, body: bytes) -> str:
    query = upload | {"partNumber": str(number)}
    return bench.wire.ask("PUT", key, query=query, body=body).checked().headers.get("ETag", "")


def volumes(bench: Bench) -> Answer:
    """An array written and read as volumes are."""
    from porelay_kit.store import open_store

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(bench.settings.model_copy(update={"cache": Path(folder)}))
        return volume.round_trip(bench.prefix, store.zarr_spec(bench.key("probe.zarr")))


def clock_skew(bench: Bench) -> Answer:
    """The server's clock."""
    reply = bench.wire.ask("GET", query={"list-type": "2", "max-keys": "1"})
    return clock.from_header(reply.headers.get("Date"))


def space_left(bench: Bench) -> Answer:
    """Room for stacks and results, where the server tells."""
    headers = bench.wire.ask("HEAD").checked().headers
    used = headers.get("X-RGW-Bytes-Used")
    limits = [headers.get(f"X-RGW-Quota-{whose}-Size") for whose in ("Bucket", "User")]
    quotas = [int(limit) for limit in limits if limit and int(limit) > 0]
    if used and quotas:
        return space.left(max(0, min(quotas) - int(used)), "of the quota")
    seen = f"the bucket holds {space.size(int(used))}; " if used else ""
    return unknown(f"{seen}S3 does not tell what is free", "Watch it in the server's own monitoring.")


def notifications(bench: Bench) -> Answer:
    """The server tells the broker of every drop."""
    reply = bench.wire.ask("GET", query={"notification": ""})
    sweep = "Drops are found by the sweep alone, minutes later. `porelay topology apply` sets notifications up."
    if reply.status in (400, 403, 404, 405, 501):
        return warn(f"the server tells nobody of drops, or does not say ({reply.status})", sweep)
    reply.checked()
    targets = told(reply)
    if not targets:
        return warn("the bucket is set up to tell nobody of drops", sweep)
    prefixes = [text for text in reply.texts("Value") if text]
    if prefixes and not any(INBOX.startswith(prefix) for prefix in prefixes):
        return warn(f"the bucket tells {targets[0]} of drops below {prefixes}, not of those in {INBOX}", sweep)
    exchange = topic_exchange(bench.wire, targets[0]) if ":sns:" in targets[0] else None
    if exchange is None:
        return ok(f"drops are told to {targets[0]}; to which exchange, the server does not say")
    if exchange != EXCHANGE:
        advice = "`porelay topology apply` points it there."
        return warn(f"the topic of drops feeds the exchange {exchange!r}, wanted {EXCHANGE!r}", advice)
    return ok(f"drops are told to the exchange {EXCHANGE!r}")


PROBES: tuple[Callable[[Bench], Answer], ...] = (
    reachable,
    wrong_credentials_refused,
    encryption,
    objects,
    bulk_delete,
    odd_keys,
    metadata,
    suffix_range,
    conditional_put,
    multipart_upload,
    volumes,
    notifications,
    clock_skew,
    space_left,
)


def _answer(error: Exception) -> Answer:
    if isinstance(error, Refused) and error.status == 403:
        return unknown(f"this user may not ({error})", "Run the doctor with an operator's keys.")
    if isinstance(error, Refused):
        return fail(f"the server refused ({error})", "Another server is needed, or another version of it.")
    return fail(str(error), "")


EXCUSE = Excuse((Refused, PorelayError), _answer)
