import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from porelay_kit.bench import Bench
from porelay_mesher.stage import run
from porelay_schemas.errors import BadInput, TooLarge
from porelay_schemas.meshes import MeshDescription
from porelay_schemas.messages import MesherRequest
from porelay_schemas.plan import Phase, StagePlan
from porelay_schemas.section import Section
from porelay_schemas.volumes import VolumeRef


@pytest.fixture(autouse=True)
def coarse_3d_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw small pictures: their look is tested with the figures."""
    monkeypatch.setattr("porelay_kit.figures.surface._PIXELS", 120)


def request(volume: VolumeRef, phases: tuple[Phase, ...], *use: Any) -> MesherRequest:
    calls = StagePlan.model_validate(list(use)).use
    return MesherRequest(run_id="r1", plan="p", phases=phases, volume=volume, use=calls)


def test_the_stage_writes_every_file_and_says_what_they_are(  # type: ignore[no-untyped-def]
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], phases, random_media
) -> None:
    labels = random_media(20, 0.01)
    volume = put_volume(labels, "labels", (0.2, 0.1, 0.1), stage="sampler")
    bench = make_bench("mesher")
    calls = [{"conformal": {"crop_voxels": [12, 16, 20]}}, {"surface": {"keep_faces": 0.5}}]
    exporters = ["msh", "vtu", "nas", "mphtxt", "stl", "ply", "obj", "glb"]
    result = run(request(volume, phases, *calls, *exporters), bench)
    assert {"electrode.msh", "electrode.vtu", "electrode.nas", "electrode.mphtxt", "surfaces.glb"} < set(result.files)
    assert {f"surface_{p.name}.{e}" for p in phases for e in ("stl", "ply", "obj")} < set(result.files)
    assert result.tetrahedra == 6 * 12 * 16 * 20
    assert result.volume.shape == (12, 16, 20)
    assert bench.volume(result.volume)[:, :, :].max() == 2
    told = MeshDescription.model_validate_json(bench.path("mesh.json").read_bytes())
    assert told.origin_um == pytest.approx((0.8, 0.2, 0))
    assert sum(phase.volume_um3 for phase in told.phases) == pytest.approx(12 * 0.2 * 16 * 0.1 * 20 * 0.1)
    assert {s.name for s in told.selections} >= {
        "pore",
        "pore_active",
        "z_min",
        "collector",
        "separator_active",
        "sides",
    }
    assert all(surface.watertight for surface in told.surfaces)
    assert "fail" not in told.gate.values()
    section = Section.model_validate_json(bench.path("section.json").read_bytes())
    pictures = [f.file for b in section.blocks if b.kind == "gallery" for f in b.figures]
    assert len(pictures) == 7
    assert all(bench.path(name).stat().st_size > 1000 for name in pictures)
    assert "conformal mesh of 23,040 tetrahedra in 3 phases" in section.headline


def test_surfaces_alone_need_no_tetrahedra(  # type: ignore[no-untyped-def]
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], phases, random_media
) -> None:
    bench = make_bench("mesher")
    result = run(request(put_volume(random_media(12), "labels"), phases, "surface", "stl"), bench)
    assert result.tetrahedra == 0
    told = json.loads(bench.path("mesh.json").read_text())
    assert [s["name"] for s in told["surfaces"]] == ["pore", "active", "cbd"]
    assert told["quality"] is None


def test_an_absent_phase_is_named(  # type: ignore[no-untyped-def]
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], phases
) -> None:
    bench = make_bench("mesher")
    run(request(put_volume(np.zeros((3, 3, 3), np.uint8), "labels"), phases, "conformal"), bench)
    told = MeshDescription.model_validate_json(bench.path("mesh.json").read_bytes())
    assert told.absent == ("active", "cbd")
    assert "Not in this volume: active, cbd" in bench.path("section.json").read_text()


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (["stl"], "the plan names no mesher"),
        (["conformal", "stl"], "Use 'surface' before it"),
        (["surface", "msh"], "Use 'conformal' before it"),
        ([{"conformal": {"coarsen": 3}}], "coarsen"),
        ([{"conformal": {"crop_voxel": [8, 8, 8]}}], "Did you mean 'crop_voxels'?"),
    ],
)
def test_a_plan_that_cannot_work_is_told_how_to(  # type: ignore[no-untyped-def]
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], phases, use: list[Any], text: str
) -> None:
    volume = put_volume(np.zeros((4, 4, 4), np.uint8), "labels")
    with pytest.raises(BadInput) as caught:
        run(request(volume, phases, *use), make_bench("mesher"))
    assert text in str(caught.value)


def test_a_grey_volume_and_a_slice_are_refused(  # type: ignore[no-untyped-def]
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], phases
) -> None:
    grey = put_volume(np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(BadInput, match=r"got the grey volume 'grey\.zarr', wanted labels\. Put 'segment' before it"):
        run(request(grey, phases, "conformal"), make_bench("mesher"))
    for mesher in ("conformal", "surface"):
        flat = put_volume(np.zeros((1, 8, 8), np.uint8), "labels", key="c" if mesher == "surface" else "d")
        with pytest.raises(BadInput, match="got 1 x 8 x 8 voxels"):
            run(request(flat, phases, mesher), make_bench("mesher"))


def test_a_small_budget_is_refused_early(  # type: ignore[no-untyped-def]
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], phases, random_media
) -> None:
    volume = put_volume(random_media(32), "labels")
    with pytest.raises(TooLarge, match="What would fit: coarsen: 2"):
        run(request(volume, phases, "conformal"), make_bench("mesher", max_memory_bytes=2**22))
