import numpy as np
import pytest

from porelay_mesher import lattice


def corners(triangles: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return corners (triangles, 3, xyz)."""
    return lattice.positions(shape).reshape(-1, 3)[:, ::-1][triangles]


def normals(triangles: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    a, b, c = corners(triangles, shape).transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


def test_a_voxel_is_six_tetrahedra_of_a_sixth() -> None:
    at = lattice.positions((1, 1, 1)).reshape(-1, 3)[:, ::-1][lattice.tetrahedra((1, 1, 1))]
    volumes = np.linalg.det(at[:, 1:] - at[:, :1]) / 6
    assert volumes == pytest.approx(np.full(6, 1 / 6))


def test_the_skin_of_a_voxel_is_twelve_triangles_pointing_outwards() -> None:
    triangles, sides = lattice.walls(np.zeros((1, 1, 1), np.int32))
    assert len(triangles) == 12
    assert sorted(sides[:, 1].tolist()) == sorted([-1, -2, -3, -4, -5, -6] * 2)
    outward = corners(triangles, (1, 1, 1)).mean(axis=1) - 0.5
    assert (np.einsum("ij,ij->i", normals(triangles, (1, 1, 1)), outward) > 0).all()


def test_box_faces_are_told_apart_by_their_sides() -> None:
    triangles, sides = lattice.walls(np.zeros((2, 3, 4), np.int32))
    at = corners(triangles, (2, 3, 4))
    for k, (axis, plane) in enumerate([(2, 0), (2, 2), (1, 0), (1, 3), (0, 0), (0, 4)]):
        assert (at[sides[:, 1] == -1 - k][:, :, axis] == plane).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_interfaces_point_from_the_lower_region_to_the_higher(axis: int) -> None:
    for low_first in (True, False):
        labels = np.zeros((4, 4, 4), np.int32)
        half = [slice(None)] * 3
        half[axis] = slice(2, None) if low_first else slice(None, 2)
        labels[tuple(half)] = 1
        triangles, sides = lattice.walls(labels)
        inner = sides[:, 1] >= 0
        assert (sides[inner] == (0, 1)).all()
        total = normals(triangles[inner], (4, 4, 4)).sum(axis=0)
        expected = np.zeros(3)
        expected[2 - axis] = 16 if low_first else -16
        assert total == pytest.approx(expected)
