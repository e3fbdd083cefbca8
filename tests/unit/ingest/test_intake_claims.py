"""Several keepers of one inbox: a drop is checked by one of them, and by another when that one dies."""

import json
import socket
import threading

import numpy as np
import pytest
import tifffile

from porelay_ingest.intake import claims, taking
from porelay_ingest.intake.claims import Claims
from porelay_ingest.intake.completeness import Patience
from porelay_ingest.intake.keeper import Keeper
from porelay_ingest.intake.taking import Taker
from porelay_kit import planning
from porelay_kit.broker.memory import MemoryBroker
from porelay_schemas.errors import BadInput
from porelay_schemas.intake import intake_key
from porelay_schemas.route import STAGES

KEY = "inbox/electrode/stack.tif"
CLAIM = intake_key(KEY).removesuffix(".json") + claims.SUFFIX


class Site:
    """An inbox, a clock, and checks that last as long as we want."""

    def __init__(self, store, monkeypatch):
        self.store, self.now, self.checks = store, 1_800_000_000.0, 0
        self.broker = MemoryBroker((*STAGES, "intake"))
        self.free, self.checking, self.error = threading.Event(), threading.Event(), None
        monkeypatch.setattr(taking, "preflight", self.check)
        path = store.home / KEY
        path.parent.mkdir(parents=True)
        tifffile.imwrite(path, np.zeros((3, 24, 20), np.uint8))

    def check(self, path, name, memory, limits):
        self.checks += 1
        self.checking.set()
        assert self.free.wait(10)
        if self.error:
            raise self.error

    def keeper(self):
        taker = Taker(self.broker, self.store, 2**31)
        return Keeper(taker, Patience(), planning.shipped(), "porelay", lambda: self.now)

    def asked(self):
        return len(self.broker.waiting("ingest"))


@pytest.fixture
def site(store, monkeypatch):
    return Site(store, monkeypatch)


def test_two_keepers_that_sweep_at_once_check_a_drop_once(site):
    first, second = site.keeper(), site.keeper()
    thread = threading.Thread(target=first.sweep)
    thread.start()
    assert site.checking.wait(10)
    second.sweep()
    assert site.checks == 1 and site.asked() == 0
    site.free.set()
    thread.join()
    site.now += 10
    second.turn(0.0)
    assert (site.checks, site.asked()) == (1, 1) and not site.store.exists(CLAIM)


def test_what_another_keeper_has_started_meanwhile_is_not_checked_again(site, monkeypatch):
    site.free.set()
    first, second = site.keeper(), site.keeper()
    held = second._claims.held

    def late(drop):
        first.sweep()
        return held(drop)

    monkeypatch.setattr(second._claims, "held", late)
    second.sweep()
    assert (site.checks, site.asked()) == (1, 1)


def test_the_drop_of_a_keeper_that_died_is_taken_by_another_when_the_claim_is_old(site):
    site.free.set()
    site.store.write(CLAIM, json.dumps({"keeper": "dead", "at": site.now}).encode())
    keeper = site.keeper()
    keeper.sweep()
    assert site.checks == 0
    site.now += claims.STALE_S + 1
    keeper.turn(0.0)
    assert (site.checks, site.asked()) == (1, 1)


def test_the_drop_of_a_keeper_that_died_on_this_machine_is_taken_at_once(site):
    site.free.set()
    mark = {"keeper": "dead", "host": socket.gethostname(), "pid": 999_999_999, "at": site.now}
    site.store.write(CLAIM, json.dumps(mark).encode())
    site.keeper().sweep()
    assert (site.checks, site.asked()) == (1, 1)


@pytest.mark.parametrize("mark", [b"{", b"[]", b'{"keeper": "x", "at": 9e9}', b'{"keeper": "x", "at": "soon"}'])
def test_a_claim_that_makes_no_sense_holds_nobody_up(site, mark):
    site.free.set()
    site.store.write(CLAIM, mark)
    site.keeper().sweep()
    assert site.checks == 1


def test_a_check_that_fails_gives_the_claim_back(site):
    site.free.set()
    site.error = BadInput("stack.tif: no image. Send another.")
    keeper = site.keeper()
    keeper.sweep()
    assert not site.store.exists(CLAIM) and site.store.exists(f"{KEY}.rejected.txt")


def test_a_long_check_keeps_its_claim_fresh(site, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.02)
    mine, other = Claims(site.store, lambda: site.now), Claims(site.store, lambda: site.now)
    with mine.held(KEY) as ours:
        assert ours
        for _ in range(3):
            site.now += claims.STALE_S - 1
            for _ in range(500):
                if json.loads(site.store.read(CLAIM))["at"] == site.now:
                    break
                threading.Event().wait(0.01)
            with other.held(KEY) as theirs:
                assert not theirs
    assert not site.store.exists(CLAIM)


def test_claims_of_the_dead_are_tidied_away_and_those_of_the_living_stay(site):
    site.free.set()
    gone, held = f"intake/{'0' * 64}.claim", f"intake/{'1' * 64}.claim"
    site.store.write(gone, json.dumps({"keeper": "dead", "at": site.now - 1000}).encode())
    site.store.write(held, json.dumps({"keeper": "alive", "at": site.now}).encode())
    site.keeper().sweep()
    assert not site.store.exists(gone) and site.store.exists(held)
