"""Volume fractions, and agreement with a known truth, from one table of counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.frames import Source
from porelay_schemas.plan import Phase
from porelay_segment.boxes import boxes


@dataclass(frozen=True)
class Tally:
    """`together[t, l]` = voxels that the truth calls t and the segmentation l; without truth one row of all."""

    together: NDArray[np.int64]

    @property
    def fractions(self) -> NDArray[np.float64]:
        """Volume fraction of each label."""
        return np.asarray(self.together.sum(axis=0) / self.together.sum())

    @property
    def true_fractions(self) -> NDArray[np.float64]:
        """Volume fraction of each phase in the truth."""
        return np.asarray(self.together.sum(axis=1) / self.together.sum())

    def dice(self, phases: Sequence[Phase]) -> dict[str, float]:
        """Return twice the overlap over the sum of sizes for each phase; one that neither has is left out."""
        both, sizes = np.diag(self.together), self.together.sum(axis=0) + self.together.sum(axis=1)
        return {phase.name: float(2 * hit / size) for phase, hit, size in zip(phases, both, sizes, strict=True) if size}

    @property
    def accuracy(self) -> float:
        """Share of voxels on which both agree."""
        return float(np.trace(self.together) / self.together.sum())


def counted(labels: Source, truth: Source | None, table: NDArray[Any], count: int) -> Tally:
    """Count labels 0 .. `count` - 1, against the truth where there is one, whose values `table` turns into labels."""
    together = np.zeros((count if truth is not None else 1, count), np.int64)
    for box in boxes(labels.shape):
        pair = labels[box].astype(np.int64)
        if truth is not None:
            pair += count * table[truth[box]].astype(np.int64)
        together += np.bincount(pair.ravel(), minlength=together.size).reshape(together.shape)
    return Tally(together)
