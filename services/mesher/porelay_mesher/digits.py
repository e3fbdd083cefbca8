"""Numbers as text, a million lines a second: whole columns at once instead of one number after the other."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 50_000
"""Rows that are turned into text at once."""
SPACE, ZERO, NEWLINE = 32, 48, 10


def column(numbers: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """Return non-negative integers as text (n, width), flush right."""
    rest = numbers.astype(np.uint32)
    text = np.full((len(rest), width), SPACE, np.uint8)
    for at in range(width - 1, -1, -1):
        shown = (rest > 0) | (at == width - 1)
        text[:, at] = np.where(shown, rest % 10 + ZERO, SPACE)
        rest //= 10
    return text


def fixed(text: str, rows: int) -> NDArray[np.uint8]:
    """Return the same text in each row (n, len(text))."""
    return np.broadcast_to(np.frombuffer(text.encode("ascii"), np.uint8), (rows, len(text)))


def width(highest: int) -> int:
    """Return how many digits a number has."""
    return len(str(highest))


def lines(columns: list[NDArray[np.uint8]]) -> bytes:
    """Return columns side by side, a line a row."""
    return np.concatenate([*columns, fixed("\n", len(columns[0]))], axis=1).tobytes()


def integers(table: NDArray[Any]) -> Iterator[bytes]:
    """Yield a table (rows, columns) of non-negative integers as lines of numbers."""
    if not table.size:
        return
    wide = width(int(table.max())) + 1
    for part in parts(table):
        yield lines([column(part[:, k], wide if k else wide - 1) for k in range(part.shape[1])])


def floats(table: NDArray[np.float64]) -> Iterator[bytes]:
    """Yield a table of floats as lines of numbers with 15 significant digits."""
    line = " ".join(["%.15g"] * table.shape[1]) + "\n"
    for part in parts(table):
        yield (line * len(part) % tuple(part.ravel().tolist())).encode()


def parts(table: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield a table in parts of at most ROWS rows."""
    for at in range(0, len(table), ROWS):
        yield table[at : at + ROWS]
