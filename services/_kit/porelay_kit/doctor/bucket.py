"""Probes of an S3 bucket as the store."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from porelay_kit.doctor import clock, objects, space, volume
from porelay_kit.doctor.finding import Answer, Excuse, Finding, examine, fail, ok, unknown, unreachable, warn
from porelay_kit.doctor.objects import Bench
from porelay_kit.settings import Settings
from porelay_kit.store.setup import EXCHANGE, INBOX, told, topic_exchange
from porelay_kit.store.wire import Refused, Wire
from porelay_schemas.errors import PorelayError, StoreUnavailable

LOOPBACK = ("127.", "localhost", "[::1]")


def check(settings: Settings) -> list[Finding]:
    """Probe a bucket below `doctor/`; nothing is left behind."""
    wire = Wire.open(settings)
    with objects.bench_at(settings, wire) as bench:
        return examine(f"store {wire.server}/{wire.bucket}", bench, PROBES, EXCUSE)


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
    objects.put_get_list_delete,
    objects.bulk_delete,
    objects.odd_keys,
    objects.metadata,
    objects.suffix_range,
    objects.conditional_put,
    objects.multipart_upload,
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
