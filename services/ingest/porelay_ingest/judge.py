"""Verdicts from values and thresholds."""

from porelay_schemas.section import Verdict


def above(value: float, warn: float, fail: float) -> Verdict:
    """Return the verdict on a value that should stay below."""
    return "fail" if value >= fail else "warn" if value >= warn else "ok"


def below(value: float, warn: float, fail: float) -> Verdict:
    """Return the verdict on a value that should stay above."""
    return "fail" if value < fail else "warn" if value < warn else "ok"
