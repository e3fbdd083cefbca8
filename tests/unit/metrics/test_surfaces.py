"""Areas against bodies and media whose area is known."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_metrics import surfaces
from porelay_metrics.crofton import weights
from porelay_metrics.methods.surface_area import SurfaceAreaParams, surface_area
from porelay_schemas.descriptors import Descriptor
from porelay_schemas.plan import Phase

Mask = NDArray[np.bool_]
Phases = Callable[[int], tuple[Phase, ...]]


def measured(
    labels: NDArray[np.uint8], phases: tuple[Phase, ...], voxel_um: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> dict[tuple[str, tuple[str, ...]], Descriptor]:
    return {(d.name, d.phases): d for d in surface_area(labels, phases, voxel_um, SurfaceAreaParams())}


def test_directions_weigh_as_the_sphere_is_shared() -> None:
    found = weights((1, 1, 1))
    assert found.sum() == pytest.approx(1)
    along_x, along_yx, along_zyx = 0, 3, 12
    shares = np.array([0.0458, 0.0370, 0.0352])
    assert found[[along_x, along_yx, along_zyx]] / 2 == pytest.approx(shares, abs=1e-4)


@pytest.mark.parametrize("radius", [10, 20])
def test_a_ball_has_its_area_within_one_percent(ball: Callable[..., Mask], radius: int) -> None:
    size = 2 * radius + 6
    area = surfaces(ball((size, size, size), radius))[0, 1] * size**3
    assert area == pytest.approx(4 * np.pi * radius**2, rel=0.01)


@pytest.mark.parametrize("voxel_um", [(2.0, 1.0, 1.0), (0.5, 1.0, 1.0), (4.0, 1.0, 1.0)])
def test_the_voxel_shape_does_not_matter(ball: Callable[..., Mask], voxel_um: tuple[float, float, float]) -> None:
    shape = (round(64 / voxel_um[0]), 64, 64)
    area = surfaces(ball(shape, 20, voxel_um), voxel_um)[0, 1] * 64**3
    assert area == pytest.approx(4 * np.pi * 400, rel=0.01)


def test_overlapping_spheres_have_their_area_within_one_percent(
    spheres: Callable[..., tuple[Mask, float]],
) -> None:
    errors = []
    for seed in (0, 1):
        void, area = spheres(96, 8, 0.9, seed)
        errors.append(surfaces(void)[0, 1] / area - 1)
    assert max(map(abs, errors)) < 0.01


def test_two_halves_meet_once_and_do_not_wrap_around(phases: Phases) -> None:
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[16:] = 1
    found = measured(labels, phases(2))
    triangles = found["specific_surface_area_marching_cubes", ("a",)].value
    assert triangles == pytest.approx(1 / 31)
    assert found["interface_area_density", ("a", "b")].value == pytest.approx(1 / 32, rel=0.1)


def test_areas_of_the_interfaces_sum_to_those_of_the_phases(blobs: Callable[..., Mask], phases: Phases) -> None:
    labels = blobs((24, 24, 24), 0.5).astype(np.uint8)
    labels[blobs((24, 24, 24), 0.3, 1)] = 2
    found = measured(labels, phases(3))
    for name, pairs in {"a": ("ab", "ac"), "b": ("ab", "bc"), "c": ("ac", "bc")}.items():
        total = sum(found["interface_area_density", tuple(pair)].value or 0 for pair in pairs)
        assert found["specific_surface_area", (name,)].value == pytest.approx(total)


def test_marching_cubes_agrees_with_scikit_image(blobs: Callable[..., Mask], phases: Phases) -> None:
    from skimage.measure import marching_cubes, mesh_surface_area

    mask, voxel_um = blobs((20, 17, 23), 0.4), (0.2, 0.1, 0.1)
    vertices, faces, _, _ = marching_cubes(mask.astype(np.float32), 0.5, spacing=voxel_um)
    found = measured(mask.astype(np.uint8), phases(2), voxel_um)
    density = mesh_surface_area(vertices, faces) / (19 * 16 * 22 * 0.2 * 0.1 * 0.1)
    assert found["specific_surface_area_marching_cubes", ("b",)].value == pytest.approx(density, rel=1e-6)


def test_an_absent_phase_has_no_area(phases: Phases) -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[4:] = 1
    found = measured(labels, phases(3))
    absent = found["specific_surface_area", ("c",)]
    assert (absent.value, absent.note) == (None, "c: the phase is absent")
    assert found["specific_surface_area", ("a",)].value


def test_a_slice_has_no_area(phases: Phases) -> None:
    found = measured(np.zeros((1, 9, 9), np.uint8), phases(2))
    assert all(d.value is None and "at least 3 voxels" in d.note for d in found.values())
