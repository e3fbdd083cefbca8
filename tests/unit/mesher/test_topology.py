import numpy as np

from porelay_mesher.topology import regions, structure


def test_regions_are_numbered_phase_by_phase() -> None:
    labels = np.array([[[1, 0, 1, 0]]], np.uint8)
    found = regions(labels)
    assert found.phase.tolist() == [0, 0, 1, 1]
    assert found.ids.tolist() == [[[2, 0, 3, 1]]]
    assert found.voxels.tolist() == [1, 1, 1, 1]


def test_percolation_is_the_share_of_the_phase_that_crosses() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:, 0, 0] = 1  # crosses along z
    labels[0, 2:, 2:] = 1  # four voxels that do not
    found = structure(labels, 3)
    assert found.components == (1, 2, 0)
    assert found.percolating[1] == (0.5, 0.0, 0.0)
    assert found.percolating[2] == (0.0, 0.0, 0.0)
    assert found.voxels == (56, 8, 0)


def test_voxels_at_a_corner_are_connected_by_nodes_only() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 1, 1] = labels[2, 2, 2] = 1
    assert structure(labels, 2).components == (1, 2)
    assert structure(labels, 2, by_nodes=True).components == (1, 1)
