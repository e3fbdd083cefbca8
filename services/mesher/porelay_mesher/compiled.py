"""Compilation of the numerical kernels, kept on disk between runs where the disk allows it."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Return `function` compiled at its first call; the machine code is cached beside the source or in the home."""
    from numba import njit

    try:
        kernel: F = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to cache in is writable: compile in each process
        kernel = njit(nogil=True)(function)
    return kernel
