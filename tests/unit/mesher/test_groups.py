import numpy as np
import pytest

from porelay_mesher.groups import Groups, face_tag, interface_tag, opposite, phase_tag


@pytest.fixture
def groups(meshed, random_media):  # type: ignore[no-untyped-def]
    meshes = meshed(random_media(16), collector="x_max")
    return Groups(meshes.tets, meshes.phases, meshes.collector)


def test_tags_can_be_read() -> None:
    assert [phase_tag(0), interface_tag(0, 2), face_tag(0), face_tag(5, 1)] == [1, 103, 10000, 60002]
    assert opposite("y_min") == "y_max"


def test_every_triangle_has_a_tag_of_one_group(groups) -> None:  # type: ignore[no-untyped-def]
    surfaces = [group for group in groups.tagged if group.dimension == 2]
    members = np.concatenate([group.members for group in surfaces])
    assert sorted(members) == list(range(len(groups.sides)))
    assert set(groups.triangle_tags) == {group.tag for group in surfaces}


def test_boundaries_are_pairs_of_regions(groups) -> None:  # type: ignore[no-untyped-def]
    assert np.array_equal(groups.sides[groups.boundary], groups.mesh.sides)
    assert len(np.unique(groups.sides, axis=0)) == len(groups.sides)


def test_box_faces_have_the_area_of_the_box(groups) -> None:  # type: ignore[no-untyped-def]
    areas = np.bincount(groups.boundary, groups.mesh.areas_um2)
    whole = {group.name: areas[group.members].sum() for group in groups.all if group.kind == "face"}
    assert whole == pytest.approx(
        dict.fromkeys(("z_min", "z_max", "y_min", "y_max", "x_min", "x_max", "collector", "separator"), 256.0)
        | {"sides": 1024.0}
    )


def test_the_collector_is_the_face_that_was_asked_for(groups) -> None:  # type: ignore[no-untyped-def]
    named = {group.name: group for group in groups.all}
    assert np.array_equal(named["collector"].members, named["x_max"].members)
    assert np.array_equal(named["separator_pore"].members, named["x_min_pore"].members)
    assert {"pore", "active", "cbd", "pore_active", "pore_cbd", "active_cbd"} <= set(named)
