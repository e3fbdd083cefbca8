"""Ages as words of a command line: `30min`, `2h`, `3d`."""

import re
from datetime import timedelta

import click

_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def age(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    """Read an age; raise BadParameter where it is none."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", value.strip())
    if not match:
        raise click.BadParameter(f"got {value!r}, wanted a number and s, min, h or d, such as 30min or 2d")
    return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
