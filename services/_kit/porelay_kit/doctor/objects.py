"""Probes of what a bucket does with objects."""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from porelay_kit.doctor.finding import Answer, fail, ok, warn
from porelay_kit.settings import Settings
from porelay_kit.store.wire import Refused, Wire
from porelay_schemas.errors import StoreUnavailable

PART_BYTES = 5 * 2**20
"""The smallest part that S3 allows but for the last."""
ODD_NAME = "odd/a b+c/ü=%41&.txt"
ONCE = {"If-None-Match": "*"}


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


@contextmanager
def bench_at(settings: Settings, wire: Wire) -> Iterator[Bench]:
    """Yield a bench of our own, and clear it."""
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


def put_get_list_delete(bench: Bench) -> Answer:
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
