"""The keeper of the inbox: hears of objects, sweeps for what nobody told of, and judges drop by drop.

Events are hints. What counts is what is listed, so a notification that is lost, comes twice or comes late changes
nothing but the time. Of several keepers of an inbox one checks a drop. One bad drop never ends the others: it is
rejected in words, or tried again.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from queue import SimpleQueue

from porelay_ingest.intake import rejection
from porelay_ingest.intake.claims import SUFFIX, Claims
from porelay_ingest.intake.completeness import Patience, Waiting, judge
from porelay_ingest.intake.drops import Drop, group, scope
from porelay_ingest.intake.ledger import Ledger
from porelay_ingest.intake.notices import Heard, Notice, key_in_store, of_inbox, parse
from porelay_ingest.intake.taking import Taker
from porelay_kit.broker.base import Broker, Delivery
from porelay_kit.runner.drops import INBOX
from porelay_kit.runner.state import RunState
from porelay_kit.store.base import ObjectInfo, Store
from porelay_schemas.errors import BadInput, Permanent, Retryable
from porelay_schemas.intake import PREFIX, Intake, intake_key

STAGE = "intake"
POLL_S = 0.5
CALM_S = 1.0
"""A folder that is known to wait is listed this often at most, however many of its slices come."""

PAUSE_S = 5.0
"""Until what failed for now is tried again."""

CHECKED = "waiting: it is being checked"

LOG = logging.getLogger(__name__)


class Keeper:
    """Watches one inbox. `shipped` are the plans that folders may be named after, `bucket` the one that is ours."""

    def __init__(
        self,
        taker: Taker,
        patience: Patience,
        shipped: Collection[str],
        bucket: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._taker, self._patience, self._shipped, self._bucket, self._clock = taker, patience, shipped, bucket, clock
        self._broker: Broker = taker.broker
        self._store: Store = taker.store
        self._ledger, self._claims = Ledger(taker.store, clock), Claims(taker.store, clock)
        self._heard = Heard()
        self._calm: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._sweep_at, self._listening = 0.0, False
        self._final: dict[str, str] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()

    def watch(self, until: Callable[[], bool]) -> None:
        """Serve until told to end, whatever happens."""
        while not until():
            try:
                self.turn(POLL_S)
            except Exception:
                LOG.exception("intake: a turn failed; the next one follows")
                time.sleep(POLL_S)

    def turn(self, timeout_s: float) -> None:
        """Wait for one notification, no longer than until something is due; then do what is due."""
        if not self._listening:
            self._broker.subscribe("run.", self.listen)
            self._listening = True
        delivery = self._broker.get((STAGE,), max(0.0, min(timeout_s, self._next() - self._clock())))
        if delivery is not None:
            self.handle(delivery)
        self._do_what_is_due()

    def _next(self) -> float:
        return min([self._sweep_at, *self._due.values()])

    def _do_what_is_due(self) -> None:
        now = self._clock()
        if now >= self._sweep_at:
            self._sweep_at = now + min(self._patience.sweep_s, PAUSE_S)  # where the sweep fails
            self.sweep()
            self._sweep_at = now + self._patience.sweep_s
        for place in [place for place, due in self._due.items() if due <= now]:
            del self._due[place]
            try:
                self.look(place)
            except Retryable:
                self._look_at(place, now + PAUSE_S)
                raise
        while not self._ended.empty():
            self.follow_up(self._ended.get())

    def handle(self, delivery: Delivery) -> None:
        """Do one notification and settle it: acknowledged once the state of its drop is stored."""
        try:
            self._settle(delivery)
        except KeyError:
            LOG.info("intake: a notification was lost with its connection; it comes again")

    def _settle(self, delivery: Delivery) -> None:
        try:
            for notice in parse(delivery.body):
                self._hear(notice)
        except Permanent as error:
            self._broker.park(delivery, error)
        except Exception as error:
            LOG.warning("intake: a notification could not be dealt with (%s)", error)
            self._broker.retry(delivery, error)
        else:
            self._broker.ack(delivery)

    def _hear(self, notice: Notice) -> None:
        if not of_inbox(notice, self._bucket, INBOX + "/") or not self._heard.fresh(notice):
            return
        key = key_in_store(notice, self._exists)
        place = scope(key, self._shipped) if key else None
        if place is None:
            return
        if self._clock() < self._calm.get(place, 0.0):
            self._look_at(place, self._calm[place])
        else:
            self._judge_all(self._store.beginning(place), self._take_soon)
        self._heard.note(notice)

    def _exists(self, key: str) -> bool:
        return scope(key, self._shipped) is not None and self._store.exists(key)

    def listen(self, key: str, body: bytes) -> None:
        """Note, from the broker's thread, that the ingest of a run has ended."""
        parts = key.split(".")
        if parts[-2:] in (["ingest", "failed"], ["ingest", "done"]):
            self._ended.put(".".join(parts[1:-2]))

    def sweep(self) -> None:
        """Look at the whole inbox and at what became of all runs; records of drops that are gone go, too."""
        there = {intake_key(key): key for key in self._judge_all(self._store.objects(INBOX), self._take)}
        for key in list(self._store.list(PREFIX)):
            if key.endswith(SUFFIX):
                self._claims.tidy(key)
                continue
            if there.get(key) in self._final:
                continue
            record = self._ledger.read(key)
            if record and key not in there:
                self._forget(record)
            elif record and record.run_id and record.state in ("started", "rejected"):
                self._follow_up(record)
        now = self._clock()
        self._calm = {place: until for place, until in self._calm.items() if until > now}

    def look(self, place: str) -> None:
        """Judge all drops whose keys begin so, and take those that are all there."""
        self._judge_all(self._store.beginning(place), self._take)

    def _judge_all(self, objects: Iterable[ObjectInfo], ready: Callable[[Drop], None]) -> list[str]:
        drops = group(objects, self._shipped)
        for drop in drops:
            if drop.again or self._final.get(drop.key) != drop.version:
                self._judge(drop, ready)
        return [drop.key for drop in drops]

    def _judge(self, drop: Drop, ready: Callable[[Drop], None]) -> None:
        """Reject one drop, let it wait, or call `ready` with it; what keeps it from being judged passes by."""
        record = self._ledger.of(drop.key)
        known = record if record and record.version == drop.version else None
        if known and known.state != "waiting" and drop.again is None:
            self._settle_for_good(known)
            return
        quiet_for_s = (self._ledger.now() - known.since).total_seconds() if known else 0.0
        try:
            wait = judge(drop, self._taker.told(drop), quiet_for_s, self._patience)
            if wait:
                self._wait(drop, wait)
            else:
                ready(drop)
        except Permanent as error:
            self._reject(drop, str(error))
        except Exception as error:
            LOG.warning("intake: %s is tried again", drop.key, exc_info=error)
            self._ledger.note(drop, "waiting", f"waiting: it is tried again ({error})")
            self._look_at(self._place(drop), self._clock() + PAUSE_S)

    def _settle_for_good(self, record: Intake) -> None:
        """Remember a drop of which nothing more is expected, so that sweeps need not read its record."""
        if record.state == "ingested" or (record.state == "rejected" and not record.run_id):
            self._final[record.drop] = record.version

    def _forget(self, record: Intake) -> None:
        rejection.remove(self._store, record.drop)
        self._ledger.forget(record)
        self._final.pop(record.drop, None)

    def _place(self, drop: Drop) -> str:
        return scope(drop.key, self._shipped) or drop.key

    def _look_at(self, place: str, due: float) -> None:
        self._due[place] = min(self._due.get(place, due), due)

    def _wait(self, drop: Drop, wait: Waiting) -> None:
        self._ledger.note(drop, "waiting", wait.text)
        self._calm[self._place(drop)] = self._clock() + CALM_S
        if wait.again_s is not None:
            self._look_at(self._place(drop), self._clock() + wait.again_s)

    def _take_soon(self, drop: Drop) -> None:
        """Put the checks off until the notification is acknowledged: they may take longer than a broker waits."""
        self._ledger.note(drop, "waiting", CHECKED)
        self._look_at(self._place(drop), self._clock())

    def _take(self, drop: Drop) -> None:
        """Check a drop and start its run, unless another keeper is at it or has done it meanwhile."""
        with self._claims.held(drop.key) as ours:
            if not ours:
                self._look_at(self._place(drop), self._clock() + PAUSE_S)
            elif self._still_open(drop):
                self._start(drop)

    def _still_open(self, drop: Drop) -> bool:
        if drop.again:
            return self._store.exists(drop.again.key)
        record = self._ledger.of(drop.key)
        return record is None or record.version != drop.version or record.state == "waiting"

    def _start(self, drop: Drop) -> None:
        self._ledger.note(drop, "waiting", CHECKED)
        state = self._taker.take(drop)
        self._ledger.note(drop, "started", run_id=state.run_id)
        if drop.rejected:
            rejection.remove(self._store, drop.key)
        if drop.again:
            self._store.delete(drop.again.key)
        LOG.info("intake: %s is run %s", drop.key, state.run_id)

    def _reject(self, drop: Drop, reason: str) -> None:
        rejection.write(self._store, drop.key, reason)
        self._ledger.note(drop, "rejected", reason)
        if drop.again:
            self._store.delete(drop.again.key)
        LOG.warning("intake: %s was rejected: %s", drop.key, reason)

    def follow_up(self, run_id: str) -> None:
        """See what became of the ingest of a run that a drop started."""
        try:
            uri = RunState(self._store, run_id).run().stack.uri
        except BadInput:
            return
        record = self._ledger.of(uri) if uri.startswith(INBOX + "/") else None
        if record and record.run_id == run_id:
            self._follow_up(record)

    def _follow_up(self, record: Intake) -> None:
        state = RunState(self._store, record.run_id or "")
        if self._store.exists(f"{state.prefix}/results/ingest.json"):
            if record.state != "ingested":
                rejection.remove(self._store, record.drop)
                self._ledger.change(record, "ingested")
            return
        failure = state.failures().get("ingest")
        if failure and record.text != failure.text:
            rejection.write(self._store, record.drop, failure.text)
            self._ledger.change(record, "rejected", failure.text)


def bucket_of(url: str | None) -> str | None:
    """Return the bucket that an address names, None where there is no address."""
    return url.rstrip("/").rpartition("/")[2] if url else None
