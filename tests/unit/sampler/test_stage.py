"""The stage on a bench: volumes of any size in the store, the card beside them, memory that does not grow."""

import json

import numpy as np
import pytest

from porelay_nets import weights
from porelay_nets.card import Card, Training, TrainingData
from porelay_sampler import stage
from porelay_sampler.methods.slicegan import SliceganParams, slicegan
from porelay_schemas.errors import BadInput, TooLarge
from porelay_schemas.messages import SamplerRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.section import Section

PHASES = tuple(Phase(name=name, colour="#808080") for name in ("pore", "cbd", "active_material"))


def card_of(architecture, sha256):
    grey = architecture.kind == "grey"
    return Card(
        architecture=architecture,
        phases=() if grey else PHASES,
        voxel_um=(0.05, 0.05, 0.05),
        weights_sha256=sha256,
        data=TrainingData(
            shape=(64, 64, 64),
            dtype="uint8",
            sha256="0" * 64,
            fractions={phase.name: 1 / 3 for phase in PHASES},
            warnings=("isotropy: features are longer along z.",),
        ),
        training=Training(
            method="slicegan",
            params={},
            seed=0,
            steps=20,
            exported_step=20,
            stopped_by="budget",
            threads=1,
            device="cpu",
            quality={"s2_error": 0.01},
        ),
        versions={"torch": "2"},
    )


@pytest.fixture
def trained(make_bench):
    """Return `trained(generator, architecture)`: the committed artifact of a training."""

    def trained(generator, architecture):
        bench = make_bench("slicegan-trainer", "d")
        weights.write(bench.path("generator.safetensors"), generator.state_dict())
        card = card_of(architecture, bench.ref("generator.safetensors").sha256)
        bench.write_json("card.json", card.model_dump(mode="json"))
        assert bench._workspace.commit(b"{}")
        return bench.artifact

    return trained


def ask(artifact, **params):
    call = MethodCall(method="slicegan", params=SliceganParams.model_validate(params).model_dump(mode="json"))
    return SamplerRequest(run_id="r", plan="p", phases=PHASES, generator=artifact, use=(call,))


def test_samples_lie_in_the_store_with_voxel_size_card_and_fractions(make_bench, trained, generator, architecture):
    bench = make_bench("sampler", workers=1)
    artifact = trained(generator, architecture)
    result = stage.run(ask(artifact, shape=(40, 30, 50), samples=2, seed=4, tile_edge=16), bench)
    assert [ref.name for ref in result.volumes] == ["sample_000.zarr", "sample_001.zarr"]
    for index, ref in enumerate(result.volumes):
        assert (ref.kind, ref.shape, ref.dtype, ref.voxel_um) == ("labels", (40, 30, 50), "uint8", (0.05, 0.05, 0.05))
        params = SliceganParams(shape=(40, 30, 50), seed=4, tile_edge=16)
        assert np.array_equal(bench.volume(ref)[:], slicegan(generator, sample=index, params=params))
    listed = json.loads(bench.path("samples.json").read_text())
    assert listed[1]["sample"] == 1
    assert sum(listed[1]["fractions"].values()) == pytest.approx(1)
    assert Card.model_validate_json(bench.path("card.json").read_bytes()).phases == PHASES
    section = Section.model_validate_json(bench.path("section.json").read_bytes())
    assert section.headline == "2 of 40 × 30 × 50 voxels (z, y, x), not periodic, seed 4."
    assert any(block.kind == "text" and "features are longer along z" in block.text for block in section.blocks)
    assert bench.path("sample_000.png").stat().st_size > 500


def test_the_same_seed_gives_the_same_bytes(make_bench, trained, generator, architecture):
    artifact = trained(generator, architecture)
    benches = [make_bench("sampler", key, workers=1) for key in "ef"]
    for bench in benches:
        stage.run(ask(artifact, shape=(24, 24, 24), periodic=(True, True, True)), bench)
    first, second = ({ref.name: ref.sha256 for ref in bench.files()} for bench in benches)
    assert first == second


def test_a_grey_generator_gives_grey_volumes(make_bench, trained, grey_generator, grey_architecture):
    bench = make_bench("sampler", workers=1)
    result = stage.run(ask(trained(grey_generator, grey_architecture), shape=(20, 20, 20)), bench)
    assert result.volumes[0].kind == "grey"
    assert "grey_mean" in json.loads(bench.path("samples.json").read_text())[0]


def test_blocks_are_whole_shards_and_whole_tiles():
    assert stage.block_shape((1000, 1000, 1000), (128, 512, 512), 128) == (128, 512, 512)
    assert stage.block_shape((1000, 1000, 1000), (64, 512, 512), 128) == (128, 512, 512)
    assert stage.block_shape((50, 1000, 70), (50, 512, 128), 96) == (50, 1000, 70)


def test_a_volume_of_many_shards_is_written_within_the_budget(make_bench, trained, generator, architecture):
    bench = make_bench("sampler", workers=1, max_memory_bytes=2**27)
    wanted = SliceganParams(shape=(130, 30, 520), tile_edge=64)
    result = stage.run(ask(trained(generator, architecture), shape=wanted.shape, tile_edge=64), bench)
    box = (slice(120, 130), slice(0, 30), slice(500, 520))
    assert np.array_equal(bench.volume(result.volumes[0])[box], slicegan(generator, sample=0, box=box, params=wanted))


def test_tiles_that_do_not_fit_are_refused(make_bench, trained, generator, architecture):
    bench = make_bench("sampler", max_memory_bytes=2**26)
    with pytest.raises(TooLarge, match=r"sampler: a tile of 1024 voxels \(tile_edge\) needs [\d,]+ MiB"):
        stage.run(ask(trained(generator, architecture), tile_edge=1024), bench)


def test_a_card_that_is_none_is_refused(make_bench, trained, generator, architecture, store):
    artifact = trained(generator, architecture)
    (store.home / artifact.prefix / "card.json").write_text("{}")
    with pytest.raises(BadInput, match=r"generator card card\.json: cannot be used"):
        stage.run(ask(artifact), make_bench("sampler"))
