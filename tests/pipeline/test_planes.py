"""Three micrographs, one across each axis, train an anisotropic generator: embedded, and through workers on the bus."""

import json

import numpy as np
import pytest
import tifffile

from porelay_kit import planning
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.runner import asking, worker
from porelay_kit.runner.state import RunState, run_ids, stack_ref, start
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_nets.card import Card
from porelay_schemas.route import STAGES

from .conftest import PLAN, contents, porelay

ANISOTROPIC = ("--set", "slicegan-trainer.mode=anisotropic")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """The tiny plan up to the sampler: what comes after has nothing to do with planes."""
    text = PLAN.read_text().partition("  metrics:")[0]
    path = tmp_path_factory.mktemp("plan") / "tiny.yaml"
    path.write_text(text.replace("steps: 12", "steps: 4").replace("eval_every: 6", "eval_every: 4"))
    return path


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """One image across each axis of a small electrode, of different exposure, and the labels behind each."""
    import make_demo_stack

    folder = tmp_path_factory.mktemp("three")
    made = make_demo_stack.make((40, 44, 48), seed=3, diameter=(10, 16))
    cuts = {"z": (20,), "y": (slice(None), 22), "x": (slice(None), slice(None), 24)}
    for axis, exposure in zip("zyx", (1.0, 0.7, 0.5), strict=True):
        image = np.rint(20 + exposure * made.stack[cuts[axis]].astype(float)).clip(0, 255)
        tifffile.imwrite(folder / f"{axis}.tif", image.astype(np.uint8))
    return folder, {axis: made.truth[cuts[axis]] for axis in "zyx"}


@pytest.fixture(scope="module")
def embedded(plan, three, tmp_path_factory):
    folder, _ = three
    home = tmp_path_factory.mktemp("embedded")
    done = porelay(
        "run", folder / "z.tif", "--plane", f"x={folder / 'x.tif'}", "--plane", f"y={folder / 'y.tif'}",
        "--voxel-um", 0.05, "--plan", plan, *ANISOTROPIC, "--home", home,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_every_stage_takes_its_images_along_and_the_trainer_gets_one_an_axis(embedded, three):
    store = FolderStore(embedded)
    (run_id,) = run_ids(store)
    state = RunState(store, run_id)
    results = state.results()
    shapes = {"z": (1, 44, 48), "y": (1, 40, 48), "x": (1, 40, 44)}
    request = json.loads(store.read(f"{state.prefix}/requests/slicegan-trainer.json"))
    assert request["planes"] == {axis: ref.model_dump(mode="json") for axis, ref in results["segment"].planes.items()}
    found = {"z": results["segment"].labels, **results["segment"].planes}
    for axis, ref in found.items():
        assert (ref.shape, ref.kind) == (shapes[axis], "labels")
        labels = store_volume(store, ref)
        assert np.mean(labels == three[1][axis]) > 0.75, f"labels across {axis} are of another image, or turned"
    card = Card.model_validate_json(store.read(f"{results['slicegan-trainer'].artifact.prefix}/card.json"))
    assert card.voxel_um == (0.05, 0.05, 0.05) and card.data.shape is None
    assert results["sampler"].volumes[0].shape == (24, 24, 24)


def store_volume(store, ref):
    from porelay_kit.volumes import Volume

    return Volume(ref, store.zarr_spec(f"{ref.prefix}/{ref.name}"))[:][0]


def test_the_report_names_all_three_files(embedded):
    (report,) = embedded.glob("runs/*/report.html")
    text = report.read_text()
    for words in ("plane y, SHA-256", "plane x, SHA-256", "The file of plane y", "Fractions, image by image"):
        assert words in text


def test_workers_on_the_bus_give_what_the_embedded_runner_gives(embedded, plan, three, tmp_path):
    folder, _ = three
    store, settings, broker = FolderStore(tmp_path), Settings(home=tmp_path), MemoryBroker(STAGES)
    chosen = planning.load(str(plan), ANISOTROPIC[1:], voxel_um=(0.05, 0.05, 0.05))
    planes = {axis: stack_ref(folder / f"{axis}.tif") for axis in ("y", "x")}
    state = start(store, chosen, stack_ref(folder / "z.tif"), planes=planes)
    asking.begin(state, broker)
    worker.Worker(tuple(STAGES), broker, store, settings).work(broker.idle)
    assert not any(broker.dead_letters(name) for name in STAGES)
    assert set(state.results()) == set(chosen.stages)
    assert contents(tmp_path) == contents(embedded)
    assert state.run_id in run_ids(FolderStore(embedded))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--plane", "y={y}", "--plane", "x={x}"), "slicegan-trainer.mode is 'isotropic', wanted 'anisotropic'"),
        (("--plane", "y={y}", *ANISOTROPIC), "there are images across y but none across x"),
        (("--plane", "y={y}", "--plane", "y={x}", *ANISOTROPIC), "wanted one file an axis"),
        (("--plane", "z={y}", *ANISOTROPIC), "the images across z are STACK itself"),
        (("--plane", "y={y}", "--plane", "x={x}no", *ANISOTROPIC), "no such file or folder. Check the path."),
    ],
)
def test_planes_that_cannot_be_used_are_refused_before_anything_runs(plan, three, tmp_path, words, text):
    folder, _ = three
    given = [word.format(y=folder / "y.tif", x=folder / "x.tif") for word in words]
    done = porelay("run", folder / "z.tif", *given, "--voxel-um", 0.05, "--plan", plan, "--home", tmp_path / "home")
    assert done.returncode == 2 and text in done.stderr
    assert not (tmp_path / "home" / "runs").exists()
