"""Who reaches from face to face, and what the methods say of those that do not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_metrics.methods.percolation import PercolationParams, percolation
from porelay_metrics.methods.transport import TransportParams, transport
from porelay_metrics.methods.volume_fraction import VolumeFractionParams, volume_fraction
from porelay_schemas.descriptors import Descriptor
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase

Phases = Callable[[int], tuple[Phase, ...]]
CUBE = (1.0, 1.0, 1.0)


def by_key(found: list[Descriptor]) -> dict[tuple[str, str, str | None], Descriptor]:
    return {(d.name, d.phases[0], d.axis): d for d in found}


def labels() -> NDArray[np.uint8]:
    """Label 0: a channel along z (40 voxels) and an island (1); 1: the rest; 2: a stub on the first face (3)."""
    drawn = np.ones((10, 8, 8), np.uint8)
    drawn[:, 2:4, 2:4] = 0
    drawn[5, 6, 6] = 0
    drawn[:3, 6, 1] = 2
    return drawn


def test_label_zero_is_a_phase_like_the_others(phases: Phases) -> None:
    found = by_key(percolation(labels(), phases(3), CUBE, PercolationParams()))
    assert found["percolating_fraction", "a", "z"].value == pytest.approx(40 / 41)
    assert found["isolated_fraction", "a", "z"].value == pytest.approx(1 / 41)
    assert found["percolating_fraction", "a", "y"].value == 0
    assert found["percolating_fraction", "b", "x"].value == 1


def test_what_touches_one_face_is_neither_percolating_nor_isolated(phases: Phases) -> None:
    found = by_key(percolation(labels(), phases(3), CUBE, PercolationParams()))
    stub = found["percolating_fraction", "c", "z"]
    assert (stub.value, stub.percolates, stub.connectivity) == (0, False, 6)
    assert found["isolated_fraction", "c", "z"].value == 0
    assert found["isolated_fraction", "c", "x"].value == 1


def test_a_phase_that_does_not_percolate_gets_no_tortuosity_and_no_guess(phases: Phases) -> None:
    found = by_key(transport(labels(), phases(3), CUBE, TransportParams()))
    assert found["effective_diffusivity", "a", "z"].value == pytest.approx(4 / 64, rel=1e-6)
    assert found["tortuosity_factor", "a", "z"].value == pytest.approx(41 / 40, rel=1e-6)
    assert found["tortuosity_factor_percolating", "a", "z"].value == pytest.approx(1, rel=1e-6)
    blocked = found["tortuosity_factor", "c", "z"]
    assert (blocked.value, blocked.percolates, blocked.note) == (None, False, "does not percolate")
    assert found["effective_diffusivity", "c", "z"].value == 0
    estimate = found["bruggeman_tortuosity", "c", None]
    assert estimate.value == pytest.approx((3 / 640) ** -0.5)
    assert "not measured" in estimate.definition.text


def test_an_absent_phase_has_notes_for_values(phases: Phases) -> None:
    ones = np.ones((4, 4, 4), np.uint8)
    assert (
        by_key(volume_fraction(ones, phases(2), CUBE, VolumeFractionParams()))["volume_fraction", "a", None].value == 0
    )
    for method, params in ((percolation, PercolationParams()), (transport, TransportParams())):
        absent = [d for d in method(ones, phases(2), CUBE, params) if d.phases == ("a",)]
        assert {(d.value, d.note) for d in absent} == {(None, "the phase is absent")}


def test_a_slice_has_no_transport_across_it(phases: Phases) -> None:
    slice_ = labels()[:1]
    for method, params in ((percolation, PercolationParams()), (transport, TransportParams())):
        found = [d for d in method(slice_, phases(3), CUBE, params) if d.axis]
        assert all(
            d.value is None and d.note == "the volume is one voxel thick along z" for d in found if d.axis == "z"
        )
        assert all(d.value is not None for d in found if d.axis == "y" and d.phases == ("b",))


def test_only_the_phases_and_axes_that_are_asked_for_are_solved(phases: Phases) -> None:
    found = transport(labels(), phases(3), CUBE, TransportParams(phases=("a",), axes=("z",)))
    assert {(d.phases, d.axis) for d in found} == {(("a",), "z"), (("a",), None)}


def test_an_unknown_phase_is_named_with_the_nearest(phases: Phases) -> None:
    with pytest.raises(BadInput, match=r"no phase is called 'd'\. Known: a, b, c\."):
        transport(labels(), phases(3), CUBE, TransportParams(phases=("d",)))


def test_a_solver_that_gives_up_names_phase_and_axis(phases: Phases) -> None:
    rough = (np.random.default_rng(0).random((16, 16, 16)) < 0.5).astype(np.uint8)
    with pytest.raises(
        BadInput, match=r"metrics\.transport: phase '[ab]' along z: the solver stopped after 1 iterations"
    ):
        transport(rough, phases(2), CUBE, TransportParams(max_iterations=1, axes=("z",)))


@pytest.mark.parametrize("value", [3, 7])
def test_a_label_that_is_no_phase_is_refused(phases: Phases, value: int) -> None:
    drawn = labels()
    drawn[0, 0, :5] = value
    with pytest.raises(BadInput, match=rf"5 voxels have the value {value}, but the phases are 0 a, 1 b, 2 c\. Name"):
        volume_fraction(drawn, phases(3), CUBE, VolumeFractionParams())
    with pytest.raises(BadInput, match="the value -1"):
        volume_fraction(labels().astype(np.int16) - 1, phases(3), CUBE, VolumeFractionParams())
