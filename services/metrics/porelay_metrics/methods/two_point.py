"""Two-point correlation functions."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_metrics.correlation import TwoPoint, bytes_needed
from porelay_metrics.correlation import two_point as correlate
from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import MetricParams
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.descriptors import AXES, Curve, Definition, Descriptor
from porelay_schemas.plan import Phase

S2 = Definition(
    id="two_point.v1", text="S2(r): chance that two points r apart both lie in the phase; S2(0) is its volume fraction"
)
LENGTH = Definition(
    id="correlation_length.v1", text="lag at which S2 has come down from phi to phi^2 + (phi - phi^2)/e, radial average"
)
BOUNDARY = "pairs inside the volume only, nothing wraps around"


class TwoPointParams(MetricParams):
    """Parameters of `two_point`."""

    max_lag: int = Field(
        default=64, ge=1, le=4096, description="longest lag in voxels; at most half of the volume along each axis"
    )

    def bytes_needed(self, shape: Axis3, phases: int) -> int:
        """Labels, and one padded transform at a time."""
        return prod(shape) + bytes_needed(shape, self.max_lag)


def two_point(
    labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: TwoPointParams
) -> list[Descriptor | Curve]:
    """Two-point correlation S2 of each phase, radially averaged and along each axis, and its correlation length.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). Raises BadInput
    where a label is no phase.
    """
    labels = Labels.of(labels, phases)
    whole = labels.whole()

    def one(index: int) -> TwoPoint | None:
        mask = whole == index
        return correlate(mask, voxel_um, params.max_lag) if mask.any() else None

    answers = labels.room.map(one, range(len(phases)), bytes_each=bytes_needed(labels.shape, params.max_lag))
    found: list[Descriptor | Curve] = []
    for phase, answer in zip(phases, answers, strict=True):
        found.append(_length(phase.name, answer))
        found += _curves(phase.name, answer) if answer else []
    return found


def _curves(phase: str, answer: TwoPoint) -> list[Curve]:
    named = [
        (None, answer.radial),
        *((name, line) for name, line in zip(AXES, answer.axes, strict=True) if len(line[0]) > 1),
    ]
    return [
        Curve(
            name="two_point",
            phases=(phase,),
            axis=axis,
            x=tuple(lag.tolist()),
            y=tuple(value.tolist()),
            x_unit="um",
            definition=S2,
            boundary=BOUNDARY,
        )
        for axis, (lag, value) in named
    ]


def _length(phase: str, answer: TwoPoint | None) -> Descriptor:
    value = decay(*answer.radial) if answer else None
    note = "the phase is absent" if answer is None else "" if value else "not reached within the longest lag"
    return Descriptor(
        name="correlation_length",
        phases=(phase,),
        value=value,
        unit="um",
        definition=LENGTH,
        boundary=BOUNDARY,
        note=note,
    )


def decay(lag: NDArray[np.float64], value: NDArray[np.float64]) -> float | None:
    """Return the lag at which the covariance has fallen to 1/e, None where it does not."""
    fraction = value[0]
    level = fraction**2 + (fraction - fraction**2) / np.e
    below = np.flatnonzero(value <= level)
    if below.size == 0 or fraction == 1:
        return None
    after = int(below[0])
    return float(np.interp(level, [value[after], value[after - 1]], [lag[after], lag[after - 1]]))
