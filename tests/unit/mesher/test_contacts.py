import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from porelay_mesher import contacts
from porelay_mesher.topology import structure


def volume(*ones: tuple[int, int, int], edge: int = 6) -> np.ndarray:
    labels = np.zeros((edge, edge, edge), np.uint8)
    for at in ones:
        labels[at] = 1
    return labels


def test_voxels_that_share_a_face_are_no_contact() -> None:
    assert contacts.count(volume((2, 2, 2), (2, 2, 3))) == (0, 0)


@pytest.mark.parametrize("other", [(2, 3, 3), (3, 2, 3), (3, 3, 2), (2, 1, 3), (1, 2, 1)])
def test_two_voxels_at_an_edge_are_one_edge_contact(other: tuple[int, int, int]) -> None:
    # the ring of four voxels around the edge: both phases hold two diagonal ones
    assert contacts.count(volume((2, 2, 2), other)) == (2, 0)


def test_two_voxels_at_a_corner_are_one_corner_contact() -> None:
    assert contacts.count(volume((2, 2, 2), (3, 3, 3))) == (0, 1)


def test_a_corner_on_the_box_counts_as_an_edge_of_its_face() -> None:
    assert contacts.count(volume((0, 0, 0), (0, 1, 1), edge=2)) == (2, 0)


def test_cleaning_leaves_clean_labels_alone() -> None:
    labels = volume((2, 2, 2), (2, 2, 3))
    cleaned, flips = contacts.clean(labels)
    assert flips == 0
    assert np.array_equal(cleaned, labels)


def test_two_blocks_at_an_edge_are_separated_or_joined_by_few_flips() -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1:4, 1:4, 1:7] = labels[4:7, 4:7, 1:7] = 1
    cleaned, flips = contacts.clean(labels)
    assert contacts.count(cleaned) == (0, 0)
    assert flips <= 12


def test_cleaning_a_chessboard_ends_without_contacts() -> None:
    labels = (np.indices((9, 9, 9)).sum(axis=0) % 2).astype(np.uint8)
    cleaned, _ = contacts.clean(labels)
    assert contacts.count(cleaned) == (0, 0)


def test_cleaning_gives_the_same_labels_every_time(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, (12, 12, 12), np.uint8)
    first, again = contacts.clean(labels)[0], contacts.clean(labels)[0]
    assert np.array_equal(first, again)


def test_cleaning_hardly_moves_the_fractions(random_media) -> None:  # type: ignore[no-untyped-def]
    labels = random_media(32, noise=0.01)
    cleaned, _ = contacts.clean(labels)
    before, after = (np.bincount(v.ravel(), minlength=3) / v.size for v in (labels, cleaned))
    assert np.abs(before - after).max() < 0.005


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, st.tuples(*[st.integers(2, 7)] * 3), elements=st.integers(0, 4)))
def test_any_labels_can_be_cleaned(labels: np.ndarray) -> None:
    cleaned, _ = contacts.clean(labels)
    assert contacts.count(cleaned) == (0, 0)
    assert set(np.unique(cleaned)) <= set(np.unique(labels))
    faces, nodes = structure(cleaned, 5), structure(cleaned, 5, by_nodes=True)
    assert faces.components == nodes.components
    assert faces.percolating == nodes.percolating
