"""Expressions that panels share."""

JOB = 'job=~"$job"'
"""Which Porelay: its workers are scraped as one job."""


def grown(counter: str, window: str) -> str:
    """Return by how much each series of a counter has grown within a window.

    Not `increase`: that misses the first count of a series, and pods that come for one message have no second. What a
    process counts after a restart in place is missed here until it has caught up.
    """
    seen = f"max_over_time({counter}[{window}])"
    return f"({seen} - ({counter} offset {window} or 0 * {seen}))"


def quantile(share: float, histogram: str, by: str, window: str, matching: str = JOB) -> str:
    """Return a quantile of what a histogram has seen within a window."""
    buckets = grown(f"{histogram}_bucket{{{matching}}}", window)
    return f"histogram_quantile({share}, sum by (le, {by}) ({buckets}))"


def census(gauge: str, by: str = "", ago: str = "") -> str:
    """Return a figure that all workers which ingest give alike, each when it counts: the newest of each Porelay."""
    counted = f"porelay_census_timestamp_seconds{{{JOB}}}{ago}"
    newest = f"{counted} == on (job) group_left () max by (job) ({counted})"
    once = f"max by ({f'job, {by}' if by else 'job'}) ({gauge}{ago} and on (job, instance) ({newest}))"
    return f"{f'sum by ({by})' if by else 'sum'} ({once})"


def more(gauge: str, window: str) -> str:
    """Return by how much such a figure is more than a window ago, no less than 0."""
    return f"clamp_min({census(gauge)} - ({census(gauge, ago=f' offset {window}')} or vector(0)), 0)"
