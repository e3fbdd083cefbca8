"""Grey levels: does each phase have a peak of its own?"""

from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_ingest.judge import below
from porelay_ingest.mixture import fit
from porelay_schemas.base import Params
from porelay_schemas.stacks import Counts, Finding, Sample

PILED_UP = 3.0


class GreyLevelsParams(Params):
    """Thresholds of `grey_levels`."""

    warn: float = Field(
        4.0, gt=0, description="separation of neighbouring peaks, in standard deviations, below which to warn"
    )
    fail: float = Field(1.5, gt=0, description="separation of neighbouring peaks, in standard deviations, that fails")
    fewest: int = Field(12, ge=2, le=256, description="distinct grey levels below which the stack is held for labels")


def grey_levels(sample: Sample, *, params: GreyLevelsParams) -> Finding | None:
    """Separation of the grey-level peaks: distance of neighbouring phases over their standard deviation.

    A Gaussian mixture with as many classes as the plan has phases is fitted to the histogram (without voxels that
    pile up at its ends). A threshold half way between two peaks d standard deviations apart puts the share
    erfc(d / sqrt 8) / 2 of their voxels on the wrong side.
    """
    if sample.kind == "labels":
        return None
    threshold = f"at least {params.warn:g} standard deviations (fails below {params.fail:g})"
    filled = int(np.count_nonzero(sample.counts))
    picture = Counts(sample.levels, sample.counts, "grey level")
    if filled < params.fewest:
        meaning = f"Only {filled} grey levels: these look like labels. Use a plan whose segment stage is 'labels'."
        return Finding(float(filled), f"at least {params.fewest} grey levels", "fail", meaning, picture)
    classes = max(2, sample.phases)
    mixture = fit(*without_ends(sample.levels, sample.counts), classes)
    gaps = mixture.separations()
    value = float(gaps.min())
    wrong = erfc(value / sqrt(8)) / 2
    marks = {f"peak {number}": float(mean) for number, mean in enumerate(mixture.means, 1)}
    verdict = below(value, params.warn, params.fail)
    nearest = int(np.argmin(gaps)) + 1
    return Finding(
        value=round(value, 3),
        threshold=threshold,
        verdict=verdict,
        meaning=f"The {classes} phases have peaks of their own."
        if verdict == "ok"
        else f"Peaks {nearest} and {nearest + 1} overlap: a threshold on these grey levels puts about {wrong:.0%} of "
        "their voxels on the wrong side. Switch on a denoising filter (preprocess: bilateral or nl_means); more "
        "contrast when acquiring helps most.",
        picture=Counts(sample.levels, sample.counts, "grey level", marks),
        figures={f"separation_{n}_{n + 1}": float(gap) for n, gap in enumerate(gaps, 1)} | {"misplaced": wrong},
    )


def without_ends(levels: NDArray[Any], counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a histogram without its first and last level where voxels pile up there."""
    first = 1 if counts[0] > PILED_UP * max(counts[1], 1) else 0
    last = -1 if counts[-1] > PILED_UP * max(counts[-2], 1) else len(counts)
    return levels[first:last], counts[first:last]
