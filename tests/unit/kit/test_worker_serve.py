"""A serving process: what it shows over HTTP, its log, its companions, how it ends; and the tree of `--all`."""

import io
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from made import result_of

from porelay_kit.bench import Progress
from porelay_kit.broker.base import Delivery, Pulse
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.cli.serve import _command
from porelay_kit.log import Log
from porelay_kit.meter import Meter
from porelay_kit.meter_store import metered
from porelay_kit.monitor import Health, show
from porelay_kit.runner import serve
from porelay_kit.runner.supervisor import supervise
from porelay_kit.runner.worker import begin
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, SliceOver, StoreUnavailable
from porelay_schemas.route import STAGES


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


ALARMED = (
    "the broker takes no messages, for it has an alarm (low on disk). Free memory or disk there; it goes on by itself."
)


class Connection:
    """What a broker's adapter may tell of itself, and a store that may be away."""

    def __init__(self, store):
        self.pulse = Pulse(tick_age_s=0.1, heartbeat_s=30.0, connected=True, consuming=True)
        self.draining = False
        self.store_answers = True
        self.meter = Meter(("segment",), lambda: self.pulse)
        health = Health(lambda: self.pulse, self, lambda: self.draining)
        self.server = show(0, self.meter, health)

    def exists(self, key):
        if not self.store_answers:
            raise StoreUnavailable("store: no answer.")
        return False

    def get(self, path):
        status, text = get(self.server.server_port, path)
        return status, json.loads(text)["wrong"]

    def close(self):
        self.server.shutdown()


@pytest.fixture
def connection(store):
    with closing(Connection(store)) as made:
        yield made


@pytest.mark.parametrize(
    ("pulse", "live", "ready"),
    [
        (Pulse(0.1, 30.0, True, True), [], []),
        (Pulse(61.0, 30.0, True, True), ["the I/O loop has not gone round for 61 s"], []),
        (Pulse(0.1, 30.0, True, False), ["connected, but no consumer is active"], ["no consumer is active"]),
        (Pulse(0.1, 30.0, False, False), [], ["not connected to the broker"]),
        (Pulse(0.1, 30.0, True, True, "low on disk"), [], [ALARMED]),
    ],
    ids=["well", "stuck loop", "silent dead consumer", "reconnecting", "alarm"],
)
def test_livez_and_readyz_tell_what_is_wrong(pulse, live, ready, connection):
    connection.pulse = pulse
    assert connection.get("/livez") == (503 if live else 200, live)
    assert connection.get("/readyz") == (503 if ready else 200, ready)


def test_a_worker_that_drains_is_alive_and_not_ready(connection):
    connection.draining = True
    connection.pulse = Pulse(0.1, 30.0, True, False)
    assert connection.get("/livez") == (200, [])
    assert connection.get("/readyz")[0] == 503


def test_a_worker_whose_store_is_away_is_alive_and_not_ready(connection):
    connection.store_answers = False
    assert connection.get("/livez") == (200, [])
    assert connection.get("/readyz") == (503, ["store: no answer."])


def test_the_metrics_tell_a_consumer_that_is_dead_and_other_paths_are_unknown(connection):
    port = connection.server.server_port
    assert 'porelay_consumer_active{service="segment"} 1.0' in get(port, "/metrics")[1]
    connection.pulse = Pulse(0.1, 30.0, True, False)
    assert 'porelay_consumer_active{service="segment"} 0.0' in get(port, "/metrics")[1]
    assert get(port, "/etc/passwd")[0] == 404


def test_a_port_that_is_taken_is_refused_in_words(connection):
    with pytest.raises(BadInput, match=r"port \d+ .* cannot be used .* PORELAY_HEALTH_PORT"):
        show(connection.server.server_port, connection.meter, Health(lambda: connection.pulse, connection, bool))


def test_calls_of_the_store_are_timed_and_counted(store):
    meter = Meter(("slicegan-trainer",), lambda: Pulse(0, 30, True, True))
    watched = metered(store, meter)
    watched.write("plans/a.json", b"12345")
    assert watched.read("plans/a.json") == b"12345"
    with pytest.raises(KeyError):
        watched.read("plans/b.json")
    count = "porelay_store_seconds_count"
    assert meter.registry.get_sample_value(count, {"op": "read", "outcome": "ok"}) == 1
    assert meter.registry.get_sample_value(count, {"op": "read", "outcome": "absent"}) == 1
    assert meter.registry.get_sample_value("porelay_store_bytes_total", {"op": "write"}) == 5
    assert watched.url == store.url


def test_the_figures_of_a_training_are_shown_and_its_steps_counted_once(store):
    meter = Meter(("slicegan-trainer",), lambda: Pulse(0, 30, True, True))
    watched = metered(store, meter)
    value = meter.registry.get_sample_value
    delivery = Delivery("slicegan-trainer", b"", 1, False, 1, datetime.now(UTC) - timedelta(seconds=40))
    assert value("porelay_checkpoint_age_seconds") == 0
    for steps in ((0, 7, 20), (20, 31)):  # two slices
        meter.began(delivery)
        for step in steps:
            meter.progress(Progress("slicegan-trainer", step, 100, 1.0, {"wasserstein": step / 10, "penalty": 0.5}))
        assert 0 < value("porelay_checkpoint_age_seconds") < 5
        watched.keep_scratch("artifacts/slicegan-trainer/a")
        meter.ended(delivery, "sliced", 12.5, SliceOver("saved"))
    assert value("porelay_train_steps_total") == 31
    assert value("porelay_train_critic_wasserstein") == 3.1
    assert value("porelay_train_slice_seconds") == 12.5
    wait = {"service": "slicegan-trainer", "le": "30.0"}
    assert value("porelay_queue_wait_seconds_bucket", wait) == 0
    assert value("porelay_queue_wait_seconds_bucket", wait | {"le": "60.0"}) == 2


class Site:
    """A serving worker in this process."""

    def __init__(self, store, broker, stages=("ingest", "preprocess"), **settings):
        self.leaving, self.lines = threading.Event(), io.StringIO()
        self.settings = Settings(home=store.home, health_port=0, **settings)
        self.ended = []
        self._thread = threading.Thread(target=self._work, args=(stages, broker, store))
        self._thread.start()
        wait_for(lambda: "serving" in self.lines.getvalue())

    def _work(self, stages, broker, store):
        log = Log(as_json=True, stream=self.lines)
        connect = lambda: broker  # noqa: E731
        self.ended.append(serve.work(stages, broker, store, self.settings, log, self.leaving, connect=connect))

    def events(self, name=None):
        lines = [json.loads(line) for line in self.lines.getvalue().splitlines()]
        return [line for line in lines if name in (None, line["event"])]

    @property
    def port(self):
        return self.events("serving")[0]["port"]

    def leave(self):
        self.leaving.set()
        self._thread.join(20)
        return self.ended[0]


def wait_for(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def fake_stages(monkeypatch):
    """Stages that do nothing, in this process, or what `fake_stages[stage]` does."""
    behaviour = {}

    def function(stage):
        def run(request, bench):
            behaviour.get(stage, lambda bench: None)(bench)
            return result_of(request.run_id, stage).model_copy(update={"artifact": bench.artifact})

        return run

    monkeypatch.setattr("porelay_kit.runner.step.stage_function", function)
    monkeypatch.setattr("porelay_kit.runner.serve.Isolated", InThisProcess)
    monkeypatch.setattr("porelay_kit.runner.serve.entry_points", lambda group: [])
    return behaviour


class InThisProcess:
    def __init__(self, settings):
        from porelay_kit.runner.step import step

        self.step = step

    def __call__(self, *words):
        return self.step(*words)

    def kill(self):
        pass

    close = kill


class Closable(MemoryBroker):
    closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def bus():
    return Closable(STAGES)


def test_a_serving_worker_works_logs_counts_and_leaves(store, bus, make_run, fake_stages):
    site = Site(store, bus)
    state = make_run()
    begin(state, bus)
    wait_for(lambda: len(site.events("ok")) == 2)
    metrics = get(site.port, "/metrics")[1]
    assert 'porelay_messages_total{outcome="ok",service="ingest"} 1.0' in metrics
    assert 'porelay_voxels_total{direction="out",service="ingest"} 64.0' in metrics
    assert 'porelay_handler_seconds_count{service="preprocess"} 1.0' in metrics
    assert state.run_id not in metrics
    assert get(site.port, "/livez")[0] == get(site.port, "/readyz")[0] == 200
    assert [event["run"] for event in site.events("began")] == [state.run_id] * 2
    assert site.leave() is True
    assert site.events()[-1]["event"] == "ended"
    assert not bus.closed


def test_what_is_not_finished_within_the_grace_is_left_and_the_connection_closed(store, bus, make_run, fake_stages):
    release = threading.Event()
    fake_stages["ingest"] = lambda bench: release.wait(20)
    site = Site(store, bus, grace_s=0.2)
    begin(make_run(), bus)
    wait_for(lambda: site.events("began"))
    assert site.leave() is False
    assert site.events("left")[0]["stage"] == "ingest"
    assert bus.closed and not bus.idle()
    release.set()


def test_a_stage_that_hangs_is_parked_after_its_limit_and_the_process_leaves(
    store, bus, make_run, fake_stages, monkeypatch
):
    monkeypatch.setattr(serve, "PATIENCE_S", 0.2)
    release = threading.Event()
    fake_stages["preprocess"] = lambda bench: release.wait(20)
    site = Site(store, bus, grace_s=0.2, stage_limit_s=1.0)
    state = make_run()
    begin(state, bus)
    wait_for(lambda: site.ended)
    assert site.ended == [False] and site.events("gave up") and bus.closed
    assert "PORELAY_STAGE_LIMIT_S" in state.failures()["preprocess"].text
    assert [letter.error for letter in bus.dead_letters("preprocess")] == ["TookTooLong"]
    release.set()


class Companion:
    value = "acme:watch"
    name = "ingest"

    def __init__(self):
        self.calls = []

    def load(self):
        def watch(broker, store, settings, until):
            self.calls.append((store.url, settings.home, until()))
            if len(self.calls) == 1:
                raise RuntimeError("not yet")
            while not until():
                time.sleep(0.01)

        return watch


def test_a_companion_runs_beside_its_stage_and_is_started_again_when_it_fails(store, bus, fake_stages, monkeypatch):
    companion = Companion()
    monkeypatch.setattr("porelay_kit.runner.serve.entry_points", lambda group: [companion])
    monkeypatch.setattr("porelay_kit.runner.serve.PAUSE_S", (0.01, 0.01))
    site = Site(store, bus)
    wait_for(lambda: len(companion.calls) == 2)
    assert site.events("companion failed")[0]["text"] == "not yet"
    assert site.leave() is True
    assert companion.calls[1] == (store.url, store.home, False)
    other = Site(store, bus, stages=("segment",))
    assert other.leave() is True
    assert len(companion.calls) == 2


def test_a_defect_of_the_worker_itself_ends_the_process(store, bus, fake_stages, monkeypatch):
    def broken(stages, timeout_s):
        raise AssertionError("a defect of the adapter")

    monkeypatch.setattr(bus, "get", broken)
    with pytest.raises(AssertionError, match="a defect of the adapter"):
        serve.work(
            ("segment",), bus, store, Settings(home=store.home, health_port=0), Log(stream=io.StringIO()),
            threading.Event(), connect=lambda: bus,
        )  # fmt: skip


def test_a_log_line_is_plain_and_quotes_what_has_spaces():
    stream = io.StringIO()
    Log(stream=stream).say("dead", stage="ingest", seconds=1.23456, text='a "b"\nc', run=None)
    _, line = stream.getvalue().split(" ", 1)
    assert line == 'dead stage=ingest seconds=1.235 text="a \\"b\\"\\nc"\n'


SLEEPS = "import sys, time; print('up', flush=True); sys.stdin.read()"
DIES = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(7)"


def test_a_process_of_the_tree_that_dies_is_started_again_and_all_end_together(tmp_path, monkeypatch):
    monkeypatch.setattr("porelay_kit.runner.supervisor.PAUSE_S", (0.1, 0.2))
    leaving, lines = threading.Event(), io.StringIO()
    marks = tmp_path / "marks"
    commands = {
        "steady": ([sys.executable, "-c", SLEEPS], {}),
        "frail": ([sys.executable, "-c", DIES, str(marks)], {}),
    }
    before = {one.pid for one in psutil.Process().children()}
    thread = threading.Thread(
        target=supervise, args=(commands, Log(as_json=True, stream=lines), leaving), kwargs={"grace_s": 2.0}
    )
    thread.start()
    wait_for(lambda: marks.exists() and len(marks.read_text()) >= 3, within_s=20)
    leaving.set()
    thread.join(10)
    assert {json.loads(line)["by"] for line in lines.getvalue().splitlines()} == {"exit code 7"}
    assert {one.pid for one in psutil.Process().children()} <= before


def test_the_processes_of_the_tree_have_their_own_ports_and_a_share_of_the_memory(tmp_path):
    settings = Settings(home=tmp_path, health_port=9200)
    words, variables = _command("segment", 2, settings, log_json=True)
    assert words[-4:] == ["serve", "segment", "--supervised", "--log-json"]
    assert variables["PORELAY_HEALTH_PORT"] == "9202"
    assert int(variables["PORELAY_MAX_MEMORY_BYTES"]) == settings.max_memory_bytes // 4
    given = Settings(home=tmp_path, max_memory_bytes=2**30, health_port=0)
    _, variables = _command("segment", 2, given, log_json=False)
    assert variables["PORELAY_MAX_MEMORY_BYTES"] == str(2**30) and variables["PORELAY_HEALTH_PORT"] == "0"


def test_serve_names_what_is_wrong_with_its_words(lonely):
    assert "name stages, or give --all" in lonely("serve").output
    assert "Did you mean 'ingest'?" in lonely("serve", "ingst").output
    done = lonely("serve", "ingest")
    assert isinstance(done.exception, BadInput) and "PORELAY_AMQP_URL is not set" in str(done.exception)
