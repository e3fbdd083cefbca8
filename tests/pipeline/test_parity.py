"""The worker loop on the in-memory broker gives the very arrays that the embedded runner gives."""

import threading

from porelay_kit import planning
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.runner import asking, worker
from porelay_kit.runner.state import stack_ref, start
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas.route import STAGES

from .conftest import PLAN, contents


def test_workers_on_the_bus_give_what_the_embedded_runner_gives(stack, unbroken, tmp_path):
    store, settings, broker = FolderStore(tmp_path), Settings(home=tmp_path), MemoryBroker(STAGES)
    plan = planning.load(str(PLAN), voxel_um=(0.05, 0.05, 0.05))
    state = start(store, plan, stack_ref(stack), stack_ref(stack.with_name("truth.tif")))
    asking.begin(state, broker)
    workers = [worker.Worker((name,), broker, store, settings) for name in STAGES]
    threads = [threading.Thread(target=one.work, args=(broker.idle,)) for one in workers]
    alone = threading.Thread(target=worker.Worker(tuple(STAGES), broker, store, settings).work, args=(broker.idle,))
    for thread in [*threads, alone]:
        thread.start()
    for thread in [*threads, alone]:
        thread.join()
    assert not any(broker.dead_letters(name) for name in STAGES)
    assert set(state.results()) == set(STAGES)
    assert contents(tmp_path) == contents(unbroken)
    assert store.exists(f"{state.prefix}/report.html")
