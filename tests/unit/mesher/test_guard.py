import numpy as np
import pytest

from porelay_mesher import guard, lattice


def mean_ratios(at: np.ndarray, voxel_um: tuple[float, float, float]) -> np.ndarray:
    shape = tuple(n - 1 for n in at.shape[:3])
    p = (at * np.array(voxel_um)).reshape(-1, 3)[:, ::-1][lattice.tetrahedra(shape)]
    volumes = np.linalg.det(p[:, 1:] - p[:, :1]) / 6
    squares = sum(((p[:, i] - p[:, j]) ** 2).sum(axis=1) for i in range(4) for j in range(i))
    return 12 * np.sign(volumes) * (3 * np.abs(volumes)) ** (2 / 3) / squares


def test_the_mean_ratio_of_the_lattice_is_known() -> None:
    assert guard.kuhn_ratio((1.0, 1.0, 1.0)) == pytest.approx(12 * 0.5 ** (2 / 3) / 10)
    ratios = mean_ratios(lattice.positions((1, 1, 1)), (0.2, 0.05, 0.1))
    assert guard.kuhn_ratio((0.2, 0.05, 0.1)) == pytest.approx(ratios.min())


def test_the_scaled_jacobian_of_the_lattice_is_known() -> None:
    assert guard.kuhn_jacobian((0.1, 0.1, 0.1)) == pytest.approx(1 / np.sqrt(3))


@pytest.mark.parametrize("voxel_um", [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5)])
def test_no_wish_takes_a_tetrahedron_below_the_floor(
    voxel_um: tuple[float, float, float], rng: np.random.Generator
) -> None:
    at = lattice.positions((5, 6, 7))
    nodes = np.argwhere(np.ones(at.shape[:3], bool)).astype(np.int32)
    floor = 0.5 * guard.kuhn_ratio(voxel_um)
    for _ in range(5):
        guard.move(at, nodes, rng.normal(0, 0.5, (len(nodes), 3)), guard.scale(voxel_um), floor)
    assert mean_ratios(at, voxel_um).min() >= floor * (1 - 1e-12)
    assert np.abs(at - lattice.positions((5, 6, 7))).max() > 0.2


def test_nodes_of_the_box_stay_in_its_faces(rng: np.random.Generator) -> None:
    at = lattice.positions((3, 4, 5))
    nodes = np.argwhere(np.ones(at.shape[:3], bool)).astype(np.int32)
    guard.move(at, nodes, rng.normal(0, 0.3, (len(nodes), 3)), np.ones(3), 0.1)
    for axis, last in enumerate((3, 4, 5)):
        assert (np.take(at[..., axis], 0, axis) == 0).all()
        assert (np.take(at[..., axis], -1, axis) == last).all()


def test_a_small_wish_is_granted_in_full() -> None:
    at = lattice.positions((2, 2, 2))
    stuck = guard.move(at, np.array([[1, 1, 1]], np.int32), np.array([[0.1, -0.05, 0.02]]), np.ones(3), 0.4)
    assert stuck == 0
    assert at[1, 1, 1] == pytest.approx([1.1, 0.95, 1.02])
