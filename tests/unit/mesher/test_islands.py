import numpy as np

from porelay_mesher.islands import absorb


def test_a_single_voxel_goes_to_what_surrounds_it() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 2, 2] = 1
    assert not absorb(labels, 2).any()


def test_an_island_goes_to_the_phase_it_shares_most_faces_with() -> None:
    labels = np.zeros((5, 5, 6), np.uint8)
    labels[:, :, 3:] = 1
    labels[2, 2, 2:5] = 2  # one face at its end and four sides on 0, the rest on 1
    cleaned = absorb(labels, 4)
    assert (cleaned[2, 2, 2:5] == 1).all()


def test_an_island_of_just_the_size_stays() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 2, 1:4] = 1
    assert np.array_equal(absorb(labels, 3), labels)
    assert not absorb(labels, 4).any()


def test_nested_islands_vanish_from_the_outside_in() -> None:
    labels = np.zeros((7, 7, 7), np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    labels[3, 3, 3] = 2
    assert not absorb(labels, 30).any()


def test_a_volume_of_dust_is_left_as_it_is() -> None:
    labels = (np.indices((4, 4, 4)).sum(axis=0) % 2).astype(np.uint8)
    assert np.array_equal(absorb(labels, 5), labels)
