import numpy as np
import pytest

from porelay_mesher import conformity
from porelay_mesher.meshes import TetMesh
from porelay_mesher.quality import measure


def one(*nodes: tuple[float, float, float]) -> TetMesh:
    """Return a mesh of one tetrahedron, enclosed by its four faces as if on the box."""
    return TetMesh(
        np.array(nodes, float),
        np.array([[0, 1, 2, 3]], np.int32),
        np.zeros(1, np.int32),
        np.zeros(1, np.uint8),
        np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
        np.array([[0, -1]] * 4, np.int32),
    )


def test_the_regular_tetrahedron_is_perfect() -> None:
    found = measure(one((0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1)), 1)
    assert found.min_angle == pytest.approx(np.degrees(np.arccos(1 / 3)))
    assert found.max_angle == pytest.approx(found.min_angle)
    assert found.min_radius_ratio == pytest.approx(1)
    assert found.min_jacobian == pytest.approx(1)
    assert found.volumes_um3 == pytest.approx([1 / 3])
    assert found.inverted == 0


def test_the_corner_of_a_cube_has_known_angles_and_ratios() -> None:
    found = measure(one((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)), 1)
    assert found.max_angle == pytest.approx(90)
    assert found.min_angle == pytest.approx(np.degrees(np.arccos(1 / np.sqrt(3))))
    inner, outer = 1 / (3 + np.sqrt(3)), np.sqrt(3) / 2
    assert found.min_radius_ratio == pytest.approx(3 * inner / outer)
    assert found.min_jacobian == pytest.approx(np.sqrt(2) / 2)


def test_an_inverted_tetrahedron_is_counted() -> None:
    found = measure(one((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)), 1)
    assert found.inverted == 1
    assert found.min_jacobian < 0


def test_a_lattice_has_angles_of_45_60_and_90_degrees(meshed) -> None:  # type: ignore[no-untyped-def]
    labels = np.zeros((2, 2, 2))
    labels[1] = 1
    found = measure(meshed(labels, min_island_voxels=1).tets, 3)
    assert (found.min_angle, found.max_angle) == pytest.approx((45, 90))
    assert set(np.flatnonzero(found.angles)) <= {44, 45, 59, 60, 89, 90}


def test_a_missing_triangle_leaves_a_region_open(meshed) -> None:  # type: ignore[no-untyped-def]
    mesh = meshed(np.zeros((2, 2, 2))).tets
    assert conformity.open_regions(mesh) == 0
    short = TetMesh(
        *[getattr(mesh, name) for name in ("nodes_um", "tetrahedra", "regions", "region_phase")],
        mesh.triangles[1:],
        mesh.sides[1:],
    )
    assert conformity.open_regions(short) == 1


def test_a_node_that_leaves_the_box_is_seen(meshed) -> None:  # type: ignore[no-untyped-def]
    mesh = meshed(np.zeros((2, 2, 2))).tets
    assert conformity.off_the_box(mesh) == 0
    mesh.nodes_um[13 - 9] += (0, 0, 0.01)  # the middle of the face z = 0
    assert conformity.off_the_box(mesh) > 0
