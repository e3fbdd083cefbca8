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


def census(gauge: str, by: str = "") -> str:
    """Return a figure that all workers which ingest give alike: once for each Porelay."""
    labels = f"job, {by}" if by else "job"
    total = f"sum by ({by})" if by else "sum"
    return f"{total} (max by ({labels}) ({gauge}))"


def more(gauge: str, window: str) -> str:
    """Return by how much such a figure is more than a window ago, no less than 0."""
    return f"clamp_min({census(gauge)} - ({census(f'{gauge} offset {window}')} or vector(0)), 0)"
