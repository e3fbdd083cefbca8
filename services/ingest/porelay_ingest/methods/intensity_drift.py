"""Intensity drift: slices that differ in brightness."""

import numpy as np
from pydantic import Field

from porelay_ingest.judge import above
from porelay_ingest.series import running_median, white_noise
from porelay_schemas.base import Params
from porelay_schemas.stacks import Curves, Finding, Line, Sample

FEWEST = 5


class IntensityDriftParams(Params):
    """Thresholds of `intensity_drift`."""

    flicker: float = Field(
        0.015, gt=0, le=1, description="jumps of brightness from which to warn, share of the grey range"
    )
    drift: float = Field(
        0.1, gt=0, le=1, description="slow change of brightness from which to warn, share of the grey range"
    )
    fail: float = Field(5.0, gt=1, le=100, description="times these thresholds that fail")
    window: int = Field(11, ge=3, le=201, description="slices over which brightness is usual")


def intensity_drift(sample: Sample, *, params: IntensityDriftParams) -> Finding | None:
    """Flicker from slice to slice and slow drift of the brightness, as shares of the grey range (1 to 99 %).

    The brightness of a slice is the median, over seven quantiles, of how far each lies from its usual place: all of
    them move with the detector, few of them with the composition. Flicker is the standard deviation of what jumps from
    slice to slice, drift the span of the running median.
    """
    if sample.kind == "labels":
        return None
    threshold = f"flicker below {params.flicker:g}, drift below {params.drift:g} (fails at {params.fail:g} times)"
    if sample.shape[0] < FEWEST:
        meaning = f"At least {FEWEST} slices are needed to tell flicker from structure, here are {sample.shape[0]}."
        return Finding(None, threshold, "info", meaning)
    quantiles = sample.slices.quantiles
    middle = np.median(quantiles, axis=0)
    span = max(float(middle[-1] - middle[0]), 1e-12)
    level = np.median(quantiles - middle, axis=1)
    usual = running_median(level, params.window)
    flicker, drift = white_noise(level) / span, float(np.ptp(usual)) / span
    verdict = above(max(flicker / params.flicker, drift / params.drift), 1, params.fail)
    z = np.arange(level.size)
    return Finding(
        value=f"flicker {flicker:.3f}, drift {drift:.3f}",
        threshold=threshold,
        verdict=verdict,
        meaning="Brightness is steady."
        if verdict == "ok"
        else "Slices differ in brightness: one threshold cannot fit all of them. Switch on preprocess: intensity "
        "(unless the sample itself changes along z, as a graded electrode does).",
        picture=Curves(
            (Line("brightness", z, level), Line("usual", z, usual)), "slice", "grey levels beside the usual"
        ),
        figures={"flicker": flicker, "drift": drift, "grey_range": span},
    )
