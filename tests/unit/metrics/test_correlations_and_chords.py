"""S2 and chords against closed forms."""

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_metrics import chords, two_point
from porelay_metrics.methods.chord_length import ChordLengthParams, chord_length
from porelay_metrics.methods.two_point import TwoPointParams
from porelay_metrics.methods.two_point import two_point as measure
from porelay_schemas.descriptors import Curve, Descriptor
from porelay_schemas.plan import Phase

Mask = NDArray[np.bool_]
Phases = Callable[[int], tuple[Phase, ...]]


def test_s2_is_the_count_of_pairs_without_wrapping(blobs: Callable[..., Mask]) -> None:
    mask = blobs((14, 11, 17), 0.4, sigma=1)
    found = two_point(mask, (3, 2, 1), 5)
    for axis, (lag, value) in enumerate(found.axes):
        assert lag == pytest.approx(np.arange(len(lag)) * (3, 2, 1)[axis])
        for step in range(len(lag)):
            near, far = np.moveaxis(mask, axis, 0)[: mask.shape[axis] - step], np.moveaxis(mask, axis, 0)[step:]
            assert value[step] == pytest.approx((near & far).mean(), abs=1e-5)


def test_s2_at_zero_is_exactly_the_volume_fraction_and_stands_alone_in_its_bin(blobs: Callable[..., Mask]) -> None:
    mask = blobs((20, 20, 20), 0.3)
    lag, value = two_point(mask).radial
    assert (lag[0], value[0]) == (0, mask.mean())
    assert lag[1] == pytest.approx(
        (6 * 20 * 20 * 19 + 12 * 20 * 19 * 19 * 2**0.5) / (6 * 20 * 20 * 19 + 12 * 20 * 19 * 19)
    )


def test_s2_of_layers_swings_between_the_fraction_and_nothing() -> None:
    layers = np.zeros((16, 8, 8), bool)
    layers[::2] = True
    found = two_point(layers, longest=8)
    assert found.axes[0][1] == pytest.approx([0.5, 0, 0.5, 0, 0.5, 0, 0.5, 0, 0.5], abs=1e-6)
    assert found.axes[1][1] == pytest.approx(0.5, abs=1e-6)


def test_s2_of_overlapping_spheres_follows_the_closed_form(spheres: Callable[..., tuple[Mask, float]]) -> None:
    radius = 6
    void, _ = spheres(96, radius, 0.9, 4)
    lag, value = two_point(void, longest=30).radial
    overlap = np.where(lag < 2 * radius, 1 + 3 * lag / (4 * radius) - lag**3 / (16 * radius**3), 2)
    assert value == pytest.approx(void.mean() ** overlap, abs=8e-3)


def test_the_correlation_length_of_an_exponential_is_where_it_falls_to_one_in_e() -> None:
    from porelay_metrics.methods.two_point import decay

    lag = np.arange(40.0)
    assert decay(lag, 0.16 + 0.24 * np.exp(-lag / 5)) == pytest.approx(5, abs=0.05)
    assert decay(lag, np.full(40, 0.4)) is None


def test_a_slice_has_no_curve_along_z(phases: Phases) -> None:
    labels = (np.random.default_rng(0).random((1, 16, 16)) < 0.5).astype(np.uint8)
    found = [c for c in measure(labels, phases(3), (1, 1, 1), TwoPointParams()) if isinstance(c, Curve)]
    assert {(c.phases[0], c.axis) for c in found} == {(p, a) for p in "ab" for a in (None, "y", "x")}


def _brute(mask: Mask, axis: int) -> dict[int, float]:
    """Chords inside the volume by hand, each with the inverse of the places it could have."""
    size, found = mask.shape[axis], {}
    for line in np.moveaxis(mask, axis, -1).reshape(-1, size):
        runs = [(value, len(list(run))) for value, run in groupby(line)]
        for value, length in runs[1:-1]:
            if value:
                found[length] = found.get(length, 0) + 1 / (size - 1 - length)
    total = sum(found.values())
    return {length: weight / total for length, weight in sorted(found.items())}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_chords_are_the_inner_runs_weighted_for_the_border(blobs: Callable[..., Mask], axis: int) -> None:
    mask = blobs((22, 19, 25), 0.4, sigma=1)
    lengths, share = chords(mask, (0.5, 0.5, 0.5), axis=axis)
    wanted = _brute(mask, axis)
    assert lengths == pytest.approx([0.5 * length for length in wanted])
    assert share == pytest.approx(list(wanted.values()))


def test_the_border_does_not_shorten_the_mean_chord() -> None:
    """Renewal process: runs of exactly 1 to 12 voxels alike; dropped border runs alone would make the mean 5.6."""
    rng = np.random.default_rng(0)
    lines = np.zeros((60, 60, 40), bool)
    for line in lines.reshape(-1, 40):
        at, value = -int(rng.integers(100)), False
        while at < 40:
            length = int(rng.integers(1, 13))
            line[max(at, 0) : max(at + length, 0)] = value
            at, value = at + length, not value
    lengths, share = chords(lines)
    assert (lengths * share).sum() == pytest.approx(6.5, rel=0.02)


def test_a_phase_without_inner_chords_says_so(phases: Phases) -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[3:] = 1
    found = chord_length(labels, phases(3), (1, 1, 1), ChordLengthParams())
    assert len(found) == 9
    assert all(isinstance(d, Descriptor) and d.value is None and d.note.startswith("no chord") for d in found)
