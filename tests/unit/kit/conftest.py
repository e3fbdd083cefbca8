"""Made runs, and the command line on a broker in memory."""

import json
from dataclasses import dataclass

import pytest
from click.testing import CliRunner
from made import PLAN, finish, stack

from porelay_kit import planning
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.cli import porelay
from porelay_kit.runner.state import start
from porelay_kit.store.folder import FolderStore
from porelay_schemas.route import STAGES


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker([*STAGES, "intake"])


@pytest.fixture(scope="session")
def forked():
    """A plan that forks behind `segment`."""
    return planning.parse(PLAN, "forked")


@pytest.fixture
def unsynced(monkeypatch):
    """No write is waited for until the disk has it: these tests do hundreds, and survive no power cut."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def make_run(store, forked, unsynced):
    """Return `make_run(number=0, done=(), uri="")`: a run of a stack in the inbox, with results of these stages."""

    def make(number: int = 0, done: tuple[str, ...] = (), uri: str = ""):
        state = start(store, forked, stack(number, uri))
        finish(state, *done)
        return state

    return make


@dataclass
class Command:
    """The command line on one store and one broker."""

    store: FolderStore

    def __call__(self, *words):
        return CliRunner().invoke(porelay, [str(word) for word in words])

    def json(self, *words):
        done = self(*words, "--json")
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)


@pytest.fixture
def command(store, broker, unsynced, monkeypatch) -> Command:
    """The command line with a broker; nobody is waited for longer than needed."""
    monkeypatch.setenv("PORELAY_AMQP_URL", "amqp://memory/")
    monkeypatch.setenv("PORELAY_HOME", str(store.home))
    monkeypatch.setattr("porelay_kit.cli.servers.open_broker", lambda settings: broker)
    monkeypatch.setattr("porelay_kit.runner.history.ANSWER_S", 0.0)
    return Command(store)


@pytest.fixture
def lonely(store, unsynced, monkeypatch) -> Command:
    """The command line without a broker."""
    monkeypatch.delenv("PORELAY_AMQP_URL", raising=False)
    monkeypatch.setenv("PORELAY_HOME", str(store.home))
    return Command(store)
