import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from porelay_mesher.gate import gate
from porelay_mesher.meshes import Meshes
from porelay_mesher.methods.conformal import ConformalParams, conformal
from porelay_mesher.quality import measure
from porelay_mesher.survey import survey
from porelay_mesher.topology import structure
from porelay_schemas.errors import BadInput, TooLarge


def test_a_block_of_voxels_has_its_volume(meshed, check_conformal) -> None:  # type: ignore[no-untyped-def]
    mesh = meshed(np.ones((2, 3, 4)), (0.5, 0.2, 0.1)).tets
    assert len(mesh.tetrahedra) == 6 * 24
    check_conformal(mesh, (4 * 0.1, 3 * 0.2, 2 * 0.5))  # x, y, z
    assert measure(mesh, 3).volumes_um3 == pytest.approx([0, 0.24, 0])
    assert mesh.region_phase.tolist() == [1]


def test_two_halves_share_an_interface_of_the_exact_area(meshed, check_conformal) -> None:  # type: ignore[no-untyped-def]
    labels = np.zeros((6, 6, 6))
    labels[:, :, 3:] = 1
    mesh = meshed(labels, (0.5, 0.5, 0.5)).tets
    check_conformal(mesh, (3.0, 3.0, 3.0))
    inner = mesh.sides[:, 1] >= 0
    assert mesh.areas_um2[inner].sum() == pytest.approx(9.0)
    assert mesh.nodes_um[mesh.triangles[inner], 0] == pytest.approx(1.5)
    assert mesh.areas_um2[~inner].sum() == pytest.approx(54.0)


@pytest.mark.parametrize("smoothing", ["level_set", "taubin", "none"])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.2])
def test_random_media_are_meshed_with_the_floor_and_the_topology_kept(  # type: ignore[no-untyped-def]
    meshed, check_conformal, random_media, smoothing: str, noise: float
) -> None:
    meshes = meshed(random_media(20, noise), smoothing=smoothing, min_island_voxels=1)
    check_conformal(meshes.tets, (20.0, 20.0, 20.0))
    found = measure(meshes.tets, 3)
    assert found.inverted == 0
    assert found.min_jacobian > 0.05
    assert found.min_angle > 8
    assert structure(meshes.labels, 3, by_nodes=True).components == structure(meshes.labels, 3).components


def test_the_phases_have_the_volumes_they_had_before_cleaning(meshed, random_media) -> None:  # type: ignore[no-untyped-def]
    labels = random_media(32, 0.01)
    found = measure(meshed(labels).tets, 3)
    assert found.volumes_um3 == pytest.approx(np.bincount(labels.ravel()), rel=0.005)


def test_the_interface_has_crofton_s_area(meshed, random_media) -> None:  # type: ignore[no-untyped-def]
    labels = (random_media(32) == 1).astype(np.uint8)
    found = survey(meshed(labels))
    assert found.areas_um2[0, 1] == pytest.approx(found.crofton_um2[1, 0, 1], rel=0.1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(labels=arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3), elements=st.integers(0, 2)))
def test_no_volume_fails(meshed, check_conformal, labels: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    voxel_um = (0.3, 0.1, 0.1)
    meshes = meshed(labels, voxel_um)
    z, y, x = labels.shape
    check_conformal(meshes.tets, (x * voxel_um[2], y * voxel_um[1], z * voxel_um[0]))
    assert {check.verdict for check in gate(survey(meshes)) if check.name.startswith("connected")} == {"ok"}


@pytest.mark.parametrize("voxel_um", [(0.05, 0.05, 0.05), (0.2, 0.02, 0.05)])
def test_a_flat_voxel_keeps_its_own_floor(meshed, random_media, voxel_um) -> None:  # type: ignore[no-untyped-def]
    found = survey(meshed(random_media(16), voxel_um))
    verdicts = {check.name: check.verdict for check in gate(found)}
    assert verdicts["smallest scaled Jacobian"] == "ok"
    assert found.quality.inverted == 0


def test_the_same_labels_give_the_same_bytes(meshed, random_media) -> None:  # type: ignore[no-untyped-def]
    first, again = (meshed(random_media(16, 0.01)).tets for _ in range(2))
    assert first.nodes_um.tobytes() == again.nodes_um.tobytes()
    assert first.triangles.tobytes() == again.triangles.tobytes()


def test_a_window_is_cut_coarsened_and_placed(meshed, random_media) -> None:  # type: ignore[no-untyped-def]
    meshes = meshed(random_media(32), (0.2, 0.1, 0.1), crop_voxels=(16, 20, 24), coarsen=2)
    assert meshes.labels.shape == (8, 10, 12)
    assert meshes.voxel_um == (0.4, 0.2, 0.2)
    assert meshes.origin_voxels == (8, 6, 4)
    assert meshes.tets.size_um == pytest.approx((2.4, 2.0, 3.2))


def test_a_phase_that_is_not_there_is_no_trouble(meshed) -> None:  # type: ignore[no-untyped-def]
    labels = np.zeros((6, 6, 6))
    labels[3:] = 2
    meshes = meshed(labels)
    assert sorted(meshes.tets.region_phase.tolist()) == [0, 2]
    assert survey(meshes).present == [0, 2]


def test_bad_windows_are_refused_before_anything_is_read(given, random_media) -> None:  # type: ignore[no-untyped-def]
    class Unread:
        shape = (512, 512, 512)

        def __getitem__(self, box: object) -> np.ndarray:
            raise AssertionError("read")

    large = Meshes(Unread(), given(np.zeros((2, 2, 2))).phases, (1.0, 1.0, 1.0), max_memory_bytes=2**28)
    with pytest.raises(TooLarge, match="coarsen: 4 "):
        conformal(large, ConformalParams())
    with pytest.raises(TooLarge, match="MiB of memory"):
        conformal(large, ConformalParams(crop_voxels=(128, 128, 128)))
    with pytest.raises(BadInput, match="at least 2 along each axis"):
        conformal(large, ConformalParams(crop_voxels=(1, 64, 64)))


def test_a_real_cathode_is_meshed_within_the_gate(meshed) -> None:  # type: ignore[no-untyped-def]
    tifffile = pytest.importorskip("tifffile")
    labels = tifffile.imread(real_cathode())
    for at in ((0, 0, 0), (100, 100, 100), (180, 230, 60)):
        box = tuple(slice(start, start + 64) for start in at)
        found = survey(meshed(labels[box], (0.398, 0.398, 0.398)))
        verdicts = {check.name: check.verdict for check in gate(found)}
        assert set(verdicts.values()) == {"ok"}
        assert found.quality.min_angle > 10


def real_cathode() -> str:
    import os
    from pathlib import Path

    folder = Path(os.environ.get("PORELAY_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
    path = folder / "nmc_cathode_labels.tif"
    if not path.exists():
        pytest.skip(f"{path} is not there; set PORELAY_TEST_DATA")
    return str(path)
