"""Volume fractions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porelay_metrics.labels import Labels, Source
from porelay_metrics.params import StreamingParams
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.descriptors import Definition, Descriptor
from porelay_schemas.plan import Phase

FRACTION = Definition(id="volume_fraction.v1", text="voxels of the phase / all voxels of the volume")


class VolumeFractionParams(StreamingParams):
    """Nothing to choose."""


def volume_fraction(
    labels: Source, phases: Sequence[Phase], voxel_um: VoxelUm, params: VolumeFractionParams
) -> list[Descriptor]:
    """Volume fraction of each phase.

    `labels` (z, y, x) holds indices of `phases`; `voxel_um` is the voxel's edges along (z, y, x). Raises BadInput
    where a label is no phase.
    """
    labels = Labels.of(labels, phases)

    def count(block: NDArray[np.uint8], start: Axis3, stop: Axis3) -> NDArray[np.int64]:
        return np.array([np.count_nonzero(block == index) for index in range(len(phases))])

    shares = labels.total(count) / labels.voxels
    return [
        Descriptor(name="volume_fraction", phases=(phase.name,), value=float(share), unit="1", definition=FRACTION)
        for phase, share in zip(phases, shares, strict=True)
    ]
