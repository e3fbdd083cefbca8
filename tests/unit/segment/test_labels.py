"""Volumes that are segmented already."""

import numpy as np
import pytest

from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase
from porelay_segment.methods.labels import LabelsParams, labels

PHASES = tuple(
    Phase(name=name, colour=colour)
    for name, colour in (("pore", "#000000"), ("cbd", "#888888"), ("active_material", "#ffffff"))
)
VALUES = np.array([0, 127, 254, 127, 0, 0], np.uint8).reshape(1, 2, 3)


def test_values_are_phases_in_their_order():
    np.testing.assert_array_equal(labels(VALUES, PHASES, LabelsParams()).ravel(), [0, 1, 2, 1, 0, 0])
    np.testing.assert_array_equal(labels(VALUES.astype(np.uint16) * 100, PHASES, LabelsParams()).ravel()[:3], [0, 1, 2])


def test_values_may_be_named_and_several_may_be_one_phase():
    params = LabelsParams(values={"pore": (254,), "active_material": (0,), "cbd": (127, 5)})
    np.testing.assert_array_equal(labels(VALUES, PHASES, params).ravel(), [2, 1, 0, 1, 2, 2])
    params = LabelsParams(values={"pore": (0, 254), "cbd": (127,)})
    np.testing.assert_array_equal(labels(VALUES, PHASES[:2], params).ravel(), [0, 1, 0, 1, 0, 0])


@pytest.mark.parametrize(
    ("params", "phases", "text"),
    [
        (LabelsParams(values={"pore": (0,), "cbd": (127,), "active_material": (9,)}), PHASES,
         "labels.values: the volume holds values that no phase has: 254 (1 voxels). Add each to one of pore, cbd"),
        (LabelsParams(values={"pore": (0, 254), "cbd": (127,)}), PHASES,
         "labels: a phase is missing: no voxel is active_material; the volume holds values 0 (3 voxels), 127 (2 vox"),
        (LabelsParams(values={"pore": (0,), "cbd": (0,)}), PHASES,
         "labels.values: value 0 stands for 'pore' and for 'cbd', wanted one phase"),
        (LabelsParams(values={"por": (0,)}), PHASES, "no phase of the plan is called 'por'. Did you mean 'pore'?"),
        (LabelsParams(), PHASES[:2],
         "labels: the volume holds 3 values (0 (3 voxels), 127 (2 voxels), 254 (1 voxels)), the plan has 2 phases"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_the_phases_are_refused(params, phases, text):
    with pytest.raises(BadInput) as error:
        labels(VALUES, phases, params)
    assert text in str(error.value)


def test_a_phase_without_voxels_is_missing():
    with pytest.raises(BadInput) as error:
        labels(np.array([[[0, 2, 2]]], np.uint8), PHASES, LabelsParams())
    assert "a phase is missing: no voxel is cbd" in str(error.value)
    assert "Take cbd out of the plan's phases, or correct labels.values." in str(error.value)


def test_fractional_values_are_refused():
    with pytest.raises(BadInput, match="labels: voxels are float32, wanted uint8 or uint16"):
        labels(VALUES.astype(np.float32), PHASES, LabelsParams())
