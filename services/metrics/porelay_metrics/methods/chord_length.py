"""Chord lengths."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import StreamingParams
from porelay_schemas.base import VoxelUm
from porelay_schemas.descriptors import AXES, AxisName, Curve, Definition, Descriptor
from porelay_schemas.plan import Phase

CHORDS = Definition(
    id="chord_length.v1",
    text="lengths of a phase's runs along voxel lines, number-weighted; a run of L voxels counts 1 / (N - 1 - L)",
)
MEAN = Definition(id="mean_chord_length.v1", text="number-weighted mean of the chord lengths (chord_length.v1)")
BOUNDARY = "runs that touch the border are left out, which the weights make up for; no run is longer than N - 2 voxels"


class ChordLengthParams(StreamingParams):
    """Nothing to choose."""


def chord_length(
    labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: ChordLengthParams
) -> list[Descriptor | Curve]:
    """Distribution of chord lengths of each phase along each axis, and their mean.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). Raises BadInput
    where a label is no phase.
    """
    from porelay_metrics.chords import count_chords

    labels = Labels.of(labels, phases)
    found: list[Descriptor | Curve] = []
    for axis, edge, counts in zip(AXES, voxel_um, count_chords(labels), strict=True):
        for phase, numbers in zip(phases, counts, strict=True):
            found += _along(phase.name, axis, edge, numbers)
    return found


def _along(phase: str, axis: AxisName, edge: float, numbers: NDArray[np.int64]) -> list[Descriptor | Curve]:
    from porelay_metrics.chords import weights

    number = int(numbers.sum())
    share = weights(numbers)
    lengths = np.flatnonzero(share)
    note = f"{number} chords" if number else "no chord of the phase lies inside the volume"
    mean = Descriptor(
        name="mean_chord_length",
        phases=(phase,),
        axis=axis,
        value=float((lengths * share[lengths]).sum() * edge) if number else None,
        unit="um",
        definition=MEAN,
        boundary=BOUNDARY,
        note=note,
    )
    curve = Curve(
        name="chord_length",
        kind="distribution",
        phases=(phase,),
        axis=axis,
        x=tuple((lengths * edge).tolist()),
        y=tuple(share[lengths].tolist()),
        x_unit="um",
        definition=CHORDS,
        boundary=BOUNDARY,
        note=note,
    )
    return [mean, curve] if number else [mean]
