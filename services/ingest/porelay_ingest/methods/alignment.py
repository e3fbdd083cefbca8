"""Alignment: slices that lie beside each other."""

import numpy as np
from pydantic import Field

from porelay_ingest.judge import above
from porelay_ingest.series import rms, running_median
from porelay_schemas.base import Params
from porelay_schemas.stacks import Curves, Finding, Line, Sample


class AlignmentParams(Params):
    """Thresholds of `alignment`."""

    warn: float = Field(0.5, gt=0, description="slice-to-slice shift from which to warn, in pixels")
    fail: float = Field(5.0, gt=0, description="slice-to-slice shift that fails, in pixels")
    similarity: float = Field(
        0.3, gt=0, lt=1, description="median correlation of neighbouring slices below which shifts cannot be measured"
    )
    window: int = Field(11, ge=3, le=201, description="slices over which drift is steady")


def alignment(sample: Sample, *, params: AlignmentParams) -> Finding | None:
    """Slice-to-slice shift: jitter about a steady drift, and the drift itself, in pixels.

    Shifts are peaks of the cross-correlation of the inner part of neighbouring slices, to a fraction of a pixel. Drift
    that keeps its pace cannot be told from structure that leans.
    """
    if sample.kind == "labels":
        return None
    threshold = f"below {params.warn:g} px (fails from {params.fail:g} px)"
    shift = sample.slices.shift_px[1:]
    if not len(shift):
        return Finding(None, threshold, "info", "One slice: there is nothing to align.")
    alike = float(np.median(sample.slices.similarity[1:]))
    if alike < params.similarity:
        return Finding(
            None,
            threshold,
            "info",
            f"Neighbouring slices are too different (correlation {alike:.2f}) to measure shifts: the slices are "
            "far apart, or noise hides the structure.",
            figures={"similarity": alike},
        )
    steady = running_median(shift, params.window)
    jitter = rms(shift - steady)
    pace = float(np.hypot(*np.mean(shift, axis=0)))
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(shift, axis=0)])
    verdict = above(jitter, params.warn, params.fail)
    if verdict == "ok" and pace >= params.warn:
        verdict = "warn"
    z = np.arange(len(path))
    return Finding(
        value=round(max(jitter, pace), 3),
        threshold=threshold,
        verdict=verdict,
        meaning="Slices lie on each other."
        if verdict == "ok"
        else f"Slices jitter by {jitter:.2f} px and drift steadily by {pace:.2f} px a slice: surfaces get rough, and "
        "lengths along z wrong. Switch on preprocess: align (a steady drift may be structure that leans: look first).",
        picture=Curves((Line("y", z, path[:, 0]), Line("x", z, path[:, 1])), "slice", "place of the slice / px"),
        figures={
            "jitter_px": jitter,
            "drift_px_per_slice": pace,
            "path_px": float(np.ptp(path, axis=0).max()),
            "similarity": alike,
        },
    )
