"""Triple-phase boundaries and Euler numbers of bodies drawn by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_metrics import euler_number, triple_phase_boundary
from porelay_metrics.labels import Labels
from porelay_metrics.methods.euler import EulerParams, euler
from porelay_metrics.methods.triple_phase_boundary import TriplePhaseBoundaryParams
from porelay_metrics.methods.triple_phase_boundary import triple_phase_boundary as measure
from porelay_metrics.triple_line import count_edges
from porelay_schemas.plan import Phase

Phases = Callable[[int], tuple[Phase, ...]]


def meeting() -> NDArray[np.uint8]:
    """Three phases that meet along one straight line of eight voxel edges along z."""
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[:, 4:, :5] = 1
    labels[:, 4:, 5:] = 2
    return labels


def test_a_straight_line_along_an_axis_has_its_length_in_edges(phases: Phases) -> None:
    found = {d.name: d for d in measure(meeting(), phases(3), (0.5, 2, 3), TriplePhaseBoundaryParams())}
    edges = found["tpb_edge_length_density"]
    assert edges.phases == ()
    assert edges.value == pytest.approx(1 / (8 * 2 * 9 * 3))
    assert found["tpb_length_density"].value == pytest.approx(edges.value / 1.5)


def test_the_staircase_of_lines_in_all_directions_is_half_longer(phases: Phases) -> None:
    """Three sectors around a line of random direction, 24 voxels of it: edges over length is 1.5 on average."""
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.arange(30) - 14.5] * 3, indexing="ij"), -1)
    ratios = []
    for _ in range(40):
        along, u, v = np.moveaxis(grid @ np.linalg.qr(rng.standard_normal((3, 3)))[0], -1, 0)
        sectors = np.floor((np.arctan2(v, u) + np.pi) / (2 * np.pi / 3)).clip(0, 2)
        labels = np.where((u**2 + v**2 < 9) & (np.abs(along) < 12), sectors, 3).astype(np.uint8)
        ratios.append(count_edges(Labels(labels, phases(4)))[:, 0, 1, 2].sum() / 24)
    assert np.mean(ratios) == pytest.approx(1.5, abs=0.06)


def test_a_checkerboard_of_two_phases_has_no_triple_line() -> None:
    checks = (np.indices((6, 6, 6)).sum(0) % 2).astype(np.uint8)
    assert triple_phase_boundary(checks) == 0


def test_a_line_where_four_phases_meet_counts_once_in_all_and_at_each_triple(phases: Phases) -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:, :2, 2:], labels[:, 2:, :2], labels[:, 2:, 2:] = 1, 2, 3
    found = measure(labels, phases(4), (1, 1, 1), TriplePhaseBoundaryParams())
    edges = {d.phases: d.value for d in found if d.name == "tpb_edge_length_density"}
    assert set(edges.values()) == {1 / 9}
    assert len(edges) == 5


def test_two_phases_have_no_triple_line_and_say_why(phases: Phases) -> None:
    found = measure(np.zeros((4, 4, 4), np.uint8), phases(2), (1, 1, 1), TriplePhaseBoundaryParams())
    assert {(d.value, d.note) for d in found} == {(None, "needs three phases")}


def shell() -> NDArray[np.bool_]:
    body = np.zeros((9, 9, 9), bool)
    body[2:7, 2:7, 2:7] = True
    body[4, 4, 4] = False
    return body


def ring() -> NDArray[np.bool_]:
    body = np.zeros((5, 9, 9), bool)
    body[2, 2:7, 2:7] = True
    body[2, 3:6, 3:6] = False
    return body


@pytest.mark.parametrize("connectivity", [6, 26])
def test_a_cube_a_shell_and_a_ring_have_one_two_and_no_euler_number(connectivity: int) -> None:
    cube = np.zeros((7, 7, 7), bool)
    cube[2:5, 2:5, 2:5] = True
    assert [euler_number(body, connectivity=connectivity) for body in (cube, shell(), ring())] == [1, 2, 0]


def test_bodies_at_the_border_count_whole() -> None:
    body = np.zeros((6, 6, 6), bool)
    body[0, 0, 0], body[5, 5, 5], body[2, 2, 2] = True, True, True
    assert euler_number(body) == 3


@pytest.mark.parametrize("connectivity", [6, 26])
def test_euler_numbers_agree_with_scikit_image(connectivity: int) -> None:
    from skimage.measure import euler_number as reference

    noise = np.random.default_rng(0).random((13, 11, 17)) < 0.4
    wanted = reference(noise, connectivity=1 if connectivity == 6 else 3)
    assert euler_number(noise, connectivity=connectivity) == wanted


def test_a_phase_and_its_complement_have_one_euler_density_with_paired_connectivity(phases: Phases) -> None:
    noise = (np.random.default_rng(0).random((12, 12, 12)) < 0.4).astype(np.uint8)
    six = euler(noise, phases(2), (1, 1, 1), EulerParams(connectivity=6))
    many = euler(noise, phases(2), (1, 1, 1), EulerParams(connectivity=26))
    density = {(d.connectivity, d.phases[0]): d.value for d in (*six, *many) if d.name == "euler_density"}
    assert density[6, "b"] == pytest.approx(density[26, "a"])
