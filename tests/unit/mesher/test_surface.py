from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from porelay_mesher import surfaces
from porelay_mesher.decimation import decimate
from porelay_mesher.methods.glb import GlbParams, glb
from porelay_mesher.methods.obj import ObjParams, obj
from porelay_mesher.methods.ply import PlyParams, ply
from porelay_mesher.methods.stl import StlParams, stl
from porelay_mesher.methods.surface import SurfaceParams, surface
from porelay_schemas.errors import BadInput


def parts(path: Any) -> dict[str, trimesh.Trimesh]:
    loaded = trimesh.load(path)
    return dict(loaded.geometry) if isinstance(loaded, trimesh.Scene) else {path.stem: loaded}


@pytest.mark.parametrize("keep", [1.0, 0.3])
@pytest.mark.parametrize("with_tets", [True, False])
@pytest.mark.parametrize(
    ("method", "params"), [(stl, StlParams()), (ply, PlyParams()), (obj, ObjParams()), (glb, GlbParams())]
)
def test_every_surface_is_watertight_in_every_format(  # type: ignore[no-untyped-def]
    method, params, with_tets: bool, keep: float, given, meshed, random_media, write
) -> None:
    labels = random_media(20, 0.02)
    meshes = surface(meshed(labels) if with_tets else given(labels), SurfaceParams(keep_faces=keep))
    found = {name: part for path in write(method, meshes, params) for name, part in parts(path).items()}
    assert len(found) == 3
    for part, drawn_from in zip(found.values(), meshes.surfaces, strict=True):
        assert part.is_watertight
        assert part.is_winding_consistent
        assert part.volume == pytest.approx(drawn_from.volume_um3, rel=1e-4)
        assert part.volume > 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(
    labels=arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3), elements=st.integers(0, 2)),
    keep=st.sampled_from([1.0, 0.5, 0.1]),
)
def test_any_labels_have_closed_surfaces(given, labels: np.ndarray, keep: float) -> None:  # type: ignore[no-untyped-def]
    meshes = surface(given(labels), SurfaceParams(keep_faces=keep, min_island_voxels=1))
    assert [s.phase.name for s in meshes.surfaces] == [
        p.name for k, p in enumerate(meshes.phases) if (meshes.labels == k).any()
    ]
    for each in meshes.surfaces:
        assert surfaces.closed(each.triangles)
        assert each.volume_um3 > 0


def test_the_surface_of_a_cube_is_the_cube(given) -> None:  # type: ignore[no-untyped-def]
    meshes = surface(given(np.zeros((4, 4, 4)), (0.5, 0.25, 1.0)), SurfaceParams())
    (only,) = meshes.surfaces
    assert only.volume_um3 == pytest.approx(8.0)
    assert only.area_um2 == pytest.approx(2 * (2 * 1 + 2 * 4 + 1 * 4))
    assert only.vertices_um.max(axis=0) == pytest.approx((4, 1, 2))


def test_neighbours_fit_exactly_without_decimation(meshed, random_media) -> None:  # type: ignore[no-untyped-def]
    meshes = surface(meshed(random_media(20)), SurfaceParams(smooth=8))
    assert sum(each.volume_um3 for each in meshes.surfaces) == pytest.approx(20**3)
    shared = [{tuple(row) for row in each.vertices_um.tolist()} for each in meshes.surfaces]
    assert len(shared[0] & shared[1]) > 100


def test_the_box_stays_flat(meshed, random_media) -> None:  # type: ignore[no-untyped-def]
    for keep in (1.0, 0.2):
        for each in surface(meshed(random_media(20)), SurfaceParams(smooth=20, keep_faces=keep)).surfaces:
            assert each.vertices_um.min() >= 0
            assert each.vertices_um.max() <= 20
            normals = np.cross(*(each.corners_um[:, k] - each.corners_um[:, 0] for k in (1, 2)))
            on_bottom = (each.corners_um[:, :, 2] == 0).all(axis=1)
            assert on_bottom.any()
            assert (normals[on_bottom, 2] < 0).all()


def test_smoothing_lowers_the_area_and_hardly_the_volume(given, ball) -> None:  # type: ignore[no-untyped-def]
    rough, smooth = (surface(given(ball(8.0, 22)), SurfaceParams(smooth=n)).surfaces[1] for n in (0, 10))
    assert smooth.area_um2 < rough.area_um2
    assert smooth.volume_um3 == pytest.approx(rough.volume_um3, rel=0.01)


def test_decimation_keeps_the_share_and_the_shape(given, ball) -> None:  # type: ignore[no-untyped-def]
    full, fewer = (surface(given(ball(8.0, 22)), SurfaceParams(keep_faces=keep)).surfaces[1] for keep in (1.0, 0.2))
    assert len(fewer.triangles) == pytest.approx(0.2 * len(full.triangles), abs=4)
    assert fewer.volume_um3 == pytest.approx(full.volume_um3, rel=0.02)
    assert fewer.area_um2 == pytest.approx(full.area_um2, rel=0.02)


def test_a_flat_sided_box_is_decimated_without_loss() -> None:
    box = trimesh.creation.box((1, 2, 3)).subdivide().subdivide().subdivide()
    points, triangles = decimate(
        np.array(box.vertices), np.array(box.faces, np.int32), np.zeros(len(box.vertices), np.uint8), 0.1
    )
    fewer = trimesh.Trimesh(points, triangles)
    assert len(triangles) <= 0.1 * len(box.faces) + 2
    assert fewer.is_watertight
    assert (fewer.volume, fewer.area) == pytest.approx((6, 22), rel=1e-6)


def test_a_tetrahedron_is_not_folded_flat() -> None:
    points = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], float)
    triangles = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    assert len(decimate(points, triangles, np.zeros(4, np.uint8), 0.1)[1]) == 4


def test_a_surface_with_a_hole_is_not_closed() -> None:
    triangles = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    assert surfaces.closed(triangles)
    assert not surfaces.closed(triangles[:3])
    assert not surfaces.closed(np.concatenate([triangles[:3], triangles[3:, ::-1]]))


def test_without_surfaces_the_text_says_what_to_use(given) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match=r"exporter 'stl': there is no surface to write\. Use 'surface' before it\."):
        list(stl(given(np.zeros((2, 2, 2))), StlParams()))
