"""Real against generated."""

import pytest

from porelay_metrics.comparison import averaged, compare, gap, wasserstein
from porelay_schemas.descriptors import Curve, Definition, Descriptor, Measured
from porelay_schemas.volumes import VolumeRef

MEANING = Definition(id="m.v1", text="m")


def number(value: float | None, name: str = "volume_fraction", **more: object) -> Descriptor:
    return Descriptor.model_validate(
        {"name": name, "phases": ("pore",), "value": value, "unit": "1", "definition": MEANING, **more}
    )


def measured(*numbers: Descriptor, edge: int = 100) -> Measured:
    volume = VolumeRef(
        prefix="p", name="n", kind="labels", shape=(edge, edge, edge), dtype="uint8", voxel_um=(0.1, 0.1, 0.1)
    )
    return Measured(volume=volume, descriptors=numbers)


def lengths(x: tuple[float, ...], y: tuple[float, ...]) -> Curve:
    return Curve(name="chord_length", kind="distribution", phases=("pore",), x=x, y=y, x_unit="um", definition=MEANING)


def line(x: tuple[float, ...], y: tuple[float, ...]) -> Curve:
    return Curve(name="two_point", phases=("pore",), x=x, y=y, x_unit="um", definition=MEANING)


def test_differences_are_generated_minus_real_over_the_mean_of_the_samples() -> None:
    found = compare(measured(number(0.4)), [], [measured(number(0.5)), measured(number(0.46))], [[], []])
    (difference,) = found.differences
    assert (difference.real, difference.samples) == (0.4, 2)
    assert difference.generated == pytest.approx(0.48)
    assert difference.absolute == pytest.approx(0.08)
    assert difference.relative == pytest.approx(0.2)
    assert difference.spread == pytest.approx(0.04 / 2**0.5)


def test_tortuosities_average_as_conductivities_and_a_blocked_one_counts_as_infinite() -> None:
    open_, blocked = (
        number(2, "tortuosity_factor", mean="harmonic"),
        number(None, "tortuosity_factor", mean="harmonic", percolates=False),
    )
    assert averaged([open_, number(4, "tortuosity_factor", mean="harmonic")])[0] == pytest.approx(8 / 3)
    assert averaged([open_, blocked])[0] == pytest.approx(4)
    assert averaged([blocked, blocked])[0] is None


def test_a_missing_value_says_why() -> None:
    real = number(None, "tortuosity_factor", mean="harmonic", percolates=False, note="does not percolate")
    generated = number(3, "tortuosity_factor", mean="harmonic", percolates=True)
    (difference,) = compare(measured(real), [], [measured(generated)], [[]]).differences
    assert (difference.absolute, difference.note) == (None, "real: does not percolate")


def test_wasserstein_is_between_the_samples_not_the_heights_of_bins() -> None:
    assert wasserstein(lengths((1, 2), (0.5, 0.5)), lengths((4,), (1,))) == pytest.approx(2.5)
    assert wasserstein(lengths((1,), (1,)), lengths((1.001,), (1,))) == pytest.approx(0.001)
    found = compare(measured(), [lengths((1,), (1,))], [measured()] * 2, [[lengths((2,), (1,))], []])
    (distance,) = found.distances
    assert (distance.values, distance.mean, distance.unit) == ((1.0, None), 1.0, "um")


def test_curves_are_compared_where_both_are_known() -> None:
    assert gap(line((0, 1, 2), (1, 1, 1)), line((0, 2, 4), (1, 3, 9))) == pytest.approx(1)
    assert gap(line((0, 1), (1, 1)), line((3, 4), (1, 1))) is None


def test_few_samples_small_and_unequal_windows_are_told() -> None:
    length = number(1.0, "correlation_length", unit="um")
    notes = " ".join(compare(measured(length), [], [measured(length, edge=40)], [[]]).notes)
    assert "Few samples: one volume generated" in notes
    assert "Windows of different size (64,000 and 1,000,000 voxels)" in notes
    assert "the shortest edge of the real volume, 10 µm, is 10 correlation lengths of pore (1 µm)" in notes
    assert "generated volume, 4 µm, is 4" in notes


def test_a_single_image_is_no_measure_of_transport_in_space() -> None:
    image = VolumeRef(prefix="p", name="n", kind="labels", shape=(1, 100, 100), dtype="uint8", voxel_um=(0.1, 0.1, 0.1))
    found = " ".join(compare(Measured(volume=image, descriptors=()), [], [measured()], [[]]).notes)
    assert "The real volume is a single image. In a plane a material percolates less and conducts worse" in found
    assert "single image" not in " ".join(compare(measured(), [], [measured()], [[]]).notes)
