import numpy as np
import pytest

from porelay_mesher import lattice, moving
from porelay_mesher.interface import find
from porelay_mesher.moving import Guard


def area(at: np.ndarray, labels: np.ndarray) -> float:
    """Return the area of the interfaces, in square voxels."""
    triangles, sides = lattice.walls(labels.astype(np.int32))
    a, b, c = at.reshape(-1, 3)[triangles[sides[:, 1] >= 0]].transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_the_volumes_of_the_lattice_are_its_voxels(random_media) -> None:  # type: ignore[no-untyped-def]
    labels = random_media(8)
    counts = np.bincount(labels.ravel(), minlength=3)
    assert moving.volumes(lattice.positions(labels.shape), labels, 3) == pytest.approx(counts)


def test_a_flat_interface_stays_where_it_is() -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:, 3:] = 1
    for at in (moving.to_level_set(labels, np.array([108.0, 108.0]), Guard()), moving.taubin(labels, Guard())):
        assert at == pytest.approx(lattice.positions(labels.shape), abs=1e-6)


def test_a_balls_staircase_becomes_a_ball(ball) -> None:  # type: ignore[no-untyped-def]
    labels = ball(9.0, 24)
    voxels = np.bincount(labels.ravel()).astype(float)
    at = moving.to_level_set(labels, voxels, Guard())
    radius = (3 * voxels[1] / (4 * np.pi)) ** (1 / 3)
    assert area(lattice.positions(labels.shape), labels) > 1.45 * 4 * np.pi * radius**2
    assert area(at, labels) == pytest.approx(4 * np.pi * radius**2, rel=0.06)
    assert moving.volumes(at, labels, 2) == pytest.approx(voxels, rel=5e-4)
    nodes = at[tuple(find(labels).nodes.T)] - 12 - np.array([0.13, 0.21, -0.17])
    assert np.linalg.norm(nodes, axis=1) == pytest.approx(np.full(len(nodes), radius), abs=0.6)
    assert np.linalg.norm(nodes, axis=1).std() < 0.15


def test_a_lower_floor_gives_a_truer_area(ball) -> None:  # type: ignore[no-untyped-def]
    labels = ball(9.0, 24)
    voxels = np.bincount(labels.ravel()).astype(float)
    true = 4 * np.pi * (3 * voxels[1] / (4 * np.pi)) ** (2 / 3)
    errors = [area(moving.to_level_set(labels, voxels, Guard(quality=q)), labels) / true - 1 for q in (0.6, 0.4, 0.2)]
    assert errors[0] > errors[1] > errors[2] > 0


def test_an_oblique_plane_becomes_flat() -> None:
    z, y, x = np.indices((16, 16, 16)) - 7.5
    labels = (z + 2 * y + 3 * x > 0.2).astype(np.uint8)
    at = moving.to_level_set(labels, np.bincount(labels.ravel()).astype(float), Guard())
    nodes = find(labels).nodes
    inner = nodes[((nodes > 3) & (nodes < 13)).all(axis=1)]
    heights = (at[tuple(inner.T)] - 8) @ np.array([1, 2, 3]) / np.sqrt(14)
    assert heights.std() < 0.06


def test_volumes_are_those_asked_for_not_those_of_the_labels(ball) -> None:  # type: ignore[no-untyped-def]
    labels = ball(7.0, 20)
    voxels = np.bincount(labels.ravel()) + np.array([-60.0, 60.0])
    assert moving.volumes(moving.to_level_set(labels, voxels, Guard()), labels, 2) == pytest.approx(voxels, rel=1e-3)


def test_nodes_on_a_line_of_three_phases_are_linked_along_it_only() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:, 2:, :2], labels[:, 2:, 2:] = 1, 2
    found = find(labels)
    line = (found.nodes[:, 1] == 2) & (found.nodes[:, 2] == 2)
    inner = line & (found.nodes[:, 0] > 0) & (found.nodes[:, 0] < 4)
    assert (found.links[inner] == (1 << 2 | 1 << 8)).all()  # up and down z
    assert (found.links[line & ~inner] == 0).all()  # its ends lie on the box


def test_taubin_smooths_under_the_same_guard(ball) -> None:  # type: ignore[no-untyped-def]
    labels = ball(7.0, 20)
    at = moving.taubin(labels, Guard())
    true = 4 * np.pi * (3 * (labels == 1).sum() / (4 * np.pi)) ** (2 / 3)
    assert area(at, labels) < 1.35 * true
    assert moving.volumes(at, labels, 2)[1] == pytest.approx((labels == 1).sum(), rel=0.02)
