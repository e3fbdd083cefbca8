"""Slices: missing ones, duplicates, jumps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_ingest.numbering import ranges
from porelay_ingest.series import running_median
from porelay_schemas.base import Params
from porelay_schemas.section import Verdict
from porelay_schemas.stacks import Curves, Finding, Line, Sample

FEWEST = 7
ROBUST = 1.4826


class SlicesParams(Params):
    """Thresholds of `slices`."""

    share: float = Field(0.02, gt=0, le=1, description="share of slices that are missing or doubled that fails")
    run: int = Field(3, ge=2, description="missing slices in a row that fail")
    jump: float = Field(2.0, gt=1, description="times the usual difference of neighbours from which a slice jumps")
    double: float = Field(
        0.4, gt=0, lt=1, description="times the usual difference of neighbours up to which a slice is a double"
    )
    sigma: float = Field(6.0, gt=0, description="robust standard deviations that a jump or a double is off, at least")


def slices(sample: Sample, *, params: SlicesParams) -> Finding:
    """Missing numbers, slices that are equal or nearly so to the one before, and jumps.

    The difference of neighbours is 1 - correlation after alignment; its running median is what is usual. A jump is a
    sign of slices lost while milling, a near-double of a slice that was imaged twice.
    """
    threshold = f"none (fails from {params.share:.0%} of the slices, or {params.run} in a row)"
    if sample.shape[0] == 1 and not sample.missing:
        return Finding(None, threshold, "info", "One slice: there are no neighbours to compare.")
    equal = doubles(sample.slices.digest, sample.slices.mean)
    near, jumps = outliers(sample.slices.similarity, params)
    near = [z for z in near if z not in equal]
    missing, depth = sample.missing, sample.shape[0]
    verdict = _verdict(missing, equal, near, jumps, depth, params)
    step = 1 - sample.slices.similarity
    z = np.arange(len(step))
    return Finding(
        value=f"{len(missing)} missing, {len(equal) + len(near)} doubled, {len(jumps)} jumps",
        threshold=threshold,
        verdict=verdict,
        meaning=_meaning(sample, missing, equal, near, jumps),
        picture=Curves((Line("to the slice before", z[1:], step[1:]),), "slice", "difference (1 − correlation)")
        if depth > 1
        else None,
        figures={"missing": len(missing), "equal": len(equal), "near_doubles": len(near), "jumps": len(jumps)},
    )


def doubles(digest: NDArray[Any], mean: NDArray[Any]) -> list[int]:
    """Return the slices that are equal to the one before."""
    return [int(z) for z in np.flatnonzero((digest[1:] == digest[:-1]) & (mean[1:] == mean[:-1])) + 1]


def outliers(similarity: NDArray[Any], params: SlicesParams) -> tuple[list[int], list[int]]:
    """Return the slices much more, and much less like the one before than is usual around them."""
    step = 1 - similarity[1:]
    if len(step) < FEWEST:
        return [], []
    usual = np.maximum(running_median(step), 1e-6)
    off = step - usual
    noise = max(ROBUST * float(np.median(np.abs(off))), 1e-6)
    jumps = (step > params.jump * usual) & (off > params.sigma * noise)
    near = (step < params.double * usual) & (-off > params.sigma * noise)
    return [int(z) + 1 for z in np.flatnonzero(near)], [int(z) + 1 for z in np.flatnonzero(jumps)]


def _verdict(
    missing: Sequence[int], equal: list[int], near: list[int], jumps: list[int], depth: int, params: SlicesParams
) -> Verdict:
    wrong = len(missing) + len(equal) + len(near)
    if wrong >= max(2, params.share * depth) or _longest(missing) >= params.run:
        return "fail"
    return "warn" if wrong or jumps else "ok"


def _longest(numbers: Sequence[int]) -> int:
    """Return the length of the longest run of evenly spaced missing numbers without a slice between them."""
    longest = run = 0
    before = None
    for number in numbers:
        run = run + 1 if before is not None and number == before + 1 else 1
        longest, before = max(longest, run), number
    return longest


def _meaning(sample: Sample, missing: Sequence[int], equal: list[int], near: list[int], jumps: list[int]) -> str:
    found = []
    if missing:
        found.append(f"Missing: numbers {ranges(missing)}. The stack is shorter than the sample there; find the files.")
    if equal:
        found.append(f"Equal to the slice before: {_named(sample, equal)}. Delete the copies.")
    if near:
        found.append(f"Nearly equal to the slice before: {_named(sample, near)}. Imaged twice? Delete one of the two.")
    if jumps:
        found.append(
            f"Unlike the slice before: {_named(sample, jumps)}. Slices may be lost there, or moved (preprocess: align)."
        )
    return " ".join(found) or "No slice is missing, doubled or out of line."


def _named(sample: Sample, slices: list[int]) -> str:
    if not sample.names:
        return ranges(slices)
    return ", ".join(sample.names[z] for z in slices[:6]) + (f" and {len(slices) - 6} more" if len(slices) > 6 else "")
