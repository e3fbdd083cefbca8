"""Clocks: a server that signs, expires or dates by another time than ours."""

import time
from email.utils import parsedate_to_datetime

from porelay_kit.doctor.finding import Answer, fail, ok, unknown, warn

ROUNDING_S = 2.0
"""A Date header has whole seconds, and the answer takes time to come."""
WARN_S, FAIL_S = 10.0, 300.0
ADVICE = "Let both machines keep time by NTP (`timedatectl set-ntp true`): S3 refuses requests 15 minutes off."


def from_header(date: str | None) -> Answer:
    """Compare the Date header of an answer that has just come with this machine's clock."""
    if not date:
        return unknown("the server sends no Date header")
    try:
        ahead = parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return unknown(f"the server's Date header is {date!r}, which is no date")
    return skew(ahead)


def skew(ahead_s: float) -> Answer:
    """Judge by how many seconds a server is ahead of this machine."""
    off = max(0.0, abs(ahead_s) - ROUNDING_S)
    if off == 0:
        return ok(f"within {ROUNDING_S:g} s of this machine's clock")
    seen = f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's clock"
    if off < WARN_S:
        return ok(seen)
    return warn(seen, ADVICE) if off < FAIL_S else fail(seen, ADVICE)
