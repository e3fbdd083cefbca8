"""Names of slices: their natural order, the numbers in them, and the numbers that are missing."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

SUFFIXES = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}
"""Endings of slices' names, and the formats they stand for."""

Key = tuple[tuple[tuple[int, int, str], ...], str]
MOST_MISSING = 10
"""Times the slices that are there: with more gaps than that the numbers count something else."""


def natural(name: str) -> Key:
    """Return a sort key by which `slice2` comes before `slice10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts), name


def missing_numbers(names: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers absent from names in natural order.

    The slice number is the last number in the stem that rises from name to name. A series may count by a step (every
    tenth slice); where no step is usual, or the gaps outweigh the slices, nothing is said to be missing.
    """
    numbers = slice_numbers(names)
    steps = [b - a for a, b in pairwise(numbers)]
    if len(steps) < 2:
        return ()
    step, times = min(Counter(steps).items(), key=lambda item: (-item[1], item[0]))
    gaps = [(a, b) for a, b in pairwise(numbers) if b - a > step]
    absent = sum((b - a) // step - 1 for a, b in gaps)
    uneven = any((b - a) % step for a, b in gaps)
    if uneven or 2 * times < len(steps) or absent > MOST_MISSING * len(numbers):
        return ()
    return tuple(number for a, b in gaps for number in range(a + step, b, step))


def slice_numbers(names: Sequence[str]) -> list[int]:
    """Return the number of each slice, an empty list where the names do not count."""
    groups = [[int(part) for part in re.findall(r"\d+", name.rpartition(".")[0] or name)] for name in names]
    for place in range(1, min((len(group) for group in groups), default=0) + 1):
        column = [group[-place] for group in groups]
        if all(a < b for a, b in pairwise(column)):
            return column
    return []


def ranges(numbers: Sequence[int], most: int = 12) -> str:
    """Return `412, 977-979`: runs of numbers in few words."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
