import numpy as np
import pytest

from porelay_mesher import window
from porelay_schemas.errors import BadInput, TooLarge


def test_a_window_is_cut_from_the_centre() -> None:
    assert window.centre((10, 20, 30), (4, 5, 30)) == ((3, 7, 0), (4, 5, 30))
    assert window.centre((10, 20, 30), (64, 64, 8)) == ((0, 0, 11), (10, 20, 8))
    assert window.centre((10, 20, 30), None) == ((0, 0, 0), (10, 20, 30))


def test_only_the_window_is_read() -> None:
    class Watched:
        shape = (8, 8, 8)

        def __getitem__(self, box: tuple[slice, slice, slice]) -> np.ndarray:
            assert box == (slice(2, 6), slice(0, 8), slice(4, 8))
            return np.ones((4, 8, 4), np.uint8)

    assert window.read(Watched(), (2, 0, 4), (4, 8, 4), phases=2).sum() == 128


def test_deep_windows_are_read_slab_by_slab(random_media) -> None:  # type: ignore[no-untyped-def]
    labels = np.concatenate([random_media(20)] * 8)
    assert np.array_equal(window.read(labels, (0, 0, 0), labels.shape, phases=3), labels)
    coarse = window.read(labels, (0, 0, 0), labels.shape, coarsen=2, phases=3)
    assert coarse.shape == (80, 10, 10)
    assert np.array_equal(coarse, window.majority(window.shares(labels, 2, 3)))


def test_coarsening_takes_the_majority_and_drops_the_rest() -> None:
    labels = np.zeros((5, 4, 4), np.uint8)
    labels[:2, :2, :2] = 1
    labels[0, 0, 0] = 2
    labels[2:4, 2:, 2:] = 2
    labels[4] = 1
    coarse = window.read(labels, (0, 0, 0), labels.shape, coarsen=2, phases=3)
    assert coarse.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 2]]]


def test_of_equal_shares_the_label_around_goes_first() -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:, :, 3:] = 1  # the middle cubes hold half of each
    labels[:, :2, 2:4], labels[:, 4:, 2:4] = 0, 1
    middle = window.majority(window.shares(labels, 2, 2))[1].tolist()
    assert (middle[0], middle[2]) == ([0, 0, 1], [0, 1, 1])


@pytest.mark.parametrize("factor", [2, 4])
def test_coarsening_keeps_the_fractions_of_thin_phases(random_media, factor: int) -> None:  # type: ignore[no-untyped-def]
    labels = random_media(64)
    coarse = window.majority(window.shares(labels, factor, 3))
    assert np.bincount(coarse.ravel()) / coarse.size == pytest.approx(
        np.bincount(labels.ravel()) / labels.size, abs=0.01
    )


def test_one_slice_is_refused_with_what_is_wanted() -> None:
    with pytest.raises(BadInput, match=r"got 1 x 64 x 64 voxels .* wanted at least 2 along each axis. Use a volume"):
        window.check_shape((1, 64, 64))


def test_a_label_without_a_phase_is_refused() -> None:
    with pytest.raises(BadInput, match=r"label 3 occurs .* only 3 phases \(labels 0 to 2\). Name all phases"):
        window.check_labels(np.array([[[0, 3]]], np.uint8), 3)


def test_too_many_tetrahedra_are_refused_with_what_would_fit() -> None:
    with pytest.raises(TooLarge) as caught:
        window.check_size((256, 256, 256), (256, 256, 256), 1, 12_600_000)
    text = str(caught.value)
    assert "100,663,296 tetrahedra; max_tetrahedra is 12,600,000" in text
    assert "coarsen: 2 (12,582,912 tetrahedra), or crop_voxels: [128, 128, 128]" in text
    window.check_size((256, 256, 256), (256, 256, 256), 2, 12_600_000)


def test_too_little_memory_is_refused_with_what_would_fit() -> None:
    with pytest.raises(
        TooLarge, match=r"need 8,000 MiB of memory, the limit is 2,048 MiB. What would fit: coarsen: 2, or"
    ):
        window.check_memory((256, 256, 256), 1, 500, 2**31)
    window.check_memory((256, 256, 256), 2, 500, 2**31)
    window.check_memory((256, 256, 256), 1, 500, None)
