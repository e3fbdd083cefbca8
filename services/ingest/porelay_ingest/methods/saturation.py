"""Saturation: voxels at the end of the detector's range."""

from pydantic import Field

from porelay_ingest.judge import above
from porelay_schemas.base import Params
from porelay_schemas.stacks import Counts, Finding, Sample


class SaturationParams(Params):
    """Thresholds of `saturation`."""

    warn: float = Field(
        0.01, gt=0, le=1, description="share of voxels at one end of the grey levels from which to warn"
    )
    fail: float = Field(0.1, gt=0, le=1, description="share of voxels at one end of the grey levels that fails")


def saturation(sample: Sample, *, params: SaturationParams) -> Finding | None:
    """Share of the voxels that have the lowest or the highest grey level of the stack: detail lost for good."""
    if sample.kind == "labels":
        return None
    dark, bright = sample.share_lowest, sample.share_highest
    value = max(dark, bright)
    verdict = above(value, params.warn, params.fail)
    end = "lowest (black)" if dark >= bright else "highest (white)"
    lost = f"{value:.1%} of the voxels have the {end} grey level: clipped by the detector, or masked. No filter brings"
    return Finding(
        value=round(value, 5),
        threshold=f"below {params.warn:g} (fails from {params.fail:g})",
        verdict=verdict,
        meaning="No end of the grey levels is clipped."
        if verdict == "ok"
        else f"{lost} that back: lower gain or contrast when acquiring; crop a mask away (preprocess: crop).",
        picture=Counts(
            sample.levels,
            sample.counts,
            "grey level",
            {"lowest": float(sample.levels[0]), "highest": float(sample.levels[-1])},
        ),
        figures={"share_lowest": dark, "share_highest": bright},
    )
