"""Isolated stages: a method that kills, hangs or devours its process harms that one message and nothing else."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from made import stack

from porelay_kit import planning
from porelay_kit.bench import Control
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.runner.child import Isolated, WorkerDied
from porelay_kit.runner.state import start
from porelay_kit.runner.worker import Worker
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, Stopped, TookTooLong, TooLarge, UnknownMethod
from porelay_schemas.messages import MesherRequest
from porelay_schemas.plan import MethodCall, Phase

PHASES = (Phase(name="pore", colour="#202020"), Phase(name="solid", colour="#c0c0c0"))
METHODS = '''
import os, signal, sys, time
import numpy as np
from porelay_schemas.base import Params
from porelay_schemas.errors import BadInput


class Empty(Params):
    """None."""


def segfault(meshes, params: Empty):
    """Die as by a fault in a native library."""
    os.kill(os.getpid(), signal.SIGSEGV)

def quits(meshes, params: Empty):
    """End the process."""
    os._exit(3)

def hangs(meshes, params: Empty):
    """Come to no end."""
    time.sleep(60)

def devours(meshes, params: Empty):
    """Take more memory than there is."""
    return np.ones(2**38)

def divides(meshes, params: Empty):
    """Have a defect."""
    return 1 / 0

def refuses(meshes, params: Empty):
    """Refuse the data."""
    raise BadInput("mesher: no mesh of that. Take other labels.")

def prints(meshes, params: Empty):
    """Print, then tell who it is."""
    print("{not json}")
    os.write(1, b"{not json either}")
    raise BadInput(f"{os.getpid()}")
'''
NAMES = ("segfault", "quits", "hangs", "devours", "divides", "refuses", "prints")


@pytest.fixture(autouse=True)
def acme(tmp_path: Path, monkeypatch) -> None:
    """Install a third party's meshers, for child processes only."""
    folder = tmp_path / "site"
    info = folder / "acme_meshers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-meshers\nVersion: 1.0\n")
    lines = [f"{name} = acme_meshers:{name}" for name in NAMES]
    (info / "entry_points.txt").write_text("[porelay.mesher]\n" + "\n".join(lines))
    (folder / "acme_meshers.py").write_text(METHODS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def settings(store) -> Settings:
    return Settings(home=store.home, workers=1, max_memory_bytes=2**28)


@pytest.fixture
def isolated(settings):
    made = Isolated(settings)
    yield made
    made.close()


@pytest.fixture
def ask(put_volume):
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6] = 1
    volume = put_volume(labels, "labels", stage="segment")

    def ask(*names: str, run_id: str = "r") -> MesherRequest:
        use = tuple(MethodCall(method=name) for name in names)
        return MesherRequest(run_id=run_id, plan="p", phases=PHASES, volume=volume, use=use)

    return ask


def test_a_child_computes_what_step_computes_and_tells_how_far_it_is(isolated, ask, store, settings):
    heard, computing = [], []
    control = Control(listen=heard.append, computing=lambda: computing.append(1))
    result = isolated(ask("surface", "stl"), store, settings, control)
    assert store.exists(f"{result.artifact.prefix}/manifest.json")
    assert (heard[-1].stage, heard[-1].done) == ("mesher", heard[-1].total)
    again = isolated(ask("surface", "stl"), store, settings, control)
    assert again == result and computing == [1]


def test_a_death_is_a_defect_that_names_the_signal_or_the_exit_code_and_the_next_request_is_served(
    isolated, ask, store, settings
):
    with pytest.raises(WorkerDied, match=r"mesher: its process was killed by SIGSEGV, after \d"):
        isolated(ask("segfault"), store, settings, Control())
    with pytest.raises(WorkerDied, match="ended with exit code 3"):
        isolated(ask("quits"), store, settings, Control())
    with pytest.raises(BadInput, match=r"no mesh of that\. Take other labels\."):
        isolated(ask("refuses"), store, settings, Control())


def test_errors_are_as_they_were_in_the_child_and_bring_their_traceback(isolated, ask, store, settings):
    with pytest.raises(Exception, match="division by zero") as caught:
        isolated(ask("divides"), store, settings, Control())
    assert type(caught.value).__name__ == "ZeroDivisionError"
    assert "acme_meshers.py" in caught.value.__notes__[0]
    with pytest.raises(UnknownMethod, match="nothing_like_it"):
        isolated(ask("nothing_like_it"), store, settings, Control())


def test_one_child_serves_many_requests_and_what_it_prints_disturbs_nothing(isolated, ask, store, settings):
    found = set()
    for _ in range(2):
        with pytest.raises(BadInput) as caught:
            isolated(ask("prints"), store, settings, Control())
        found.add(int(str(caught.value)))
    (child,) = found
    assert child != os.getpid() and psutil.Process(child).is_running()


def test_more_memory_than_allowed_is_refused_in_words(isolated, ask, store, settings):
    with pytest.raises(TooLarge, match=r"mesher: needs more than the 256 MiB .* Raise PORELAY_MAX_MEMORY_BYTES"):
        isolated(ask("devours"), store, settings, Control())


def test_a_stage_that_hangs_is_ended_at_its_limit(store, settings, ask):
    isolated = Isolated(settings.model_copy(update={"isolated_limit_s": 3.0}))
    with pytest.raises(TookTooLong, match=r"not done within 3 s.*PORELAY_ISOLATED_LIMIT_S"):
        isolated(ask("hangs"), store, settings, Control())
    isolated.close()


def test_a_cancel_ends_also_what_does_not_listen(isolated, ask, store, settings, monkeypatch):
    monkeypatch.setattr("porelay_kit.runner.child.PATIENCE_S", 0.5)
    began = time.monotonic()
    with pytest.raises(Stopped):
        isolated(ask("hangs"), store, settings, Control(cancelled=lambda: True))
    assert time.monotonic() - began < 5


def test_an_idle_child_ends(store, settings, ask):
    isolated = Isolated(settings, idle_s=0.2)
    with pytest.raises(BadInput) as caught:
        isolated(ask("prints"), store, settings, Control())
    psutil.wait_procs([psutil.Process(int(str(caught.value)))], timeout=5)
    assert not psutil.pid_exists(int(str(caught.value)))


PARENT = """
import sys
from pathlib import Path
from porelay_kit.bench import Control
from porelay_kit.runner.child import Isolated
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas.messages import MesherRequest

home = Path(sys.argv[1])
settings = Settings(home=home, max_memory_bytes=2**28)
try:
    Isolated(settings)(MesherRequest.model_validate_json(sys.argv[2]), FolderStore(home), settings, Control())
except Exception as error:
    print(error, flush=True)
sys.stdin.read()
"""


def test_a_child_ends_when_its_parent_is_killed(ask, store):
    words = [sys.executable, "-c", PARENT, str(store.home), ask("prints").model_dump_json()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def test_a_message_that_kills_its_process_is_parked_with_the_reason_and_the_next_one_is_served(store, settings, ask):
    plan = planning.parse(PLAN, "meshed")
    state = start(store, plan, stack())
    broker = MemoryBroker(["mesher"], retry_ladder_s=(0.0,))
    isolated = Isolated(settings)
    for name in ("segfault", "refuses"):
        broker.publish("mesher", ask(name, run_id=state.run_id).model_dump_json().encode())
    worker = Worker(("mesher",), broker, store, settings, do=isolated)
    outcomes = []
    while (delivery := broker.get(("mesher",), 0.1)) is not None:
        outcomes.append(worker.handle(delivery))
    isolated.close()
    assert outcomes == ["retried", "dead", "dead"]
    refused, killed = broker.dead_letters("mesher")
    assert (refused.error, killed.error) == ("BadInput", "WorkerDied")
    assert "SIGSEGV" in killed.text and json.loads(killed.body)["use"][0]["method"] == "segfault"


PLAN = """
name: meshed
phases:
  - {name: pore, colour: "#202020"}
  - {name: solid, colour: "#c0c0c0"}
stages:
  ingest: []
  segment: [otsu]
  mesher: [surface, stl]
"""
