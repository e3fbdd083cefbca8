"""Compiled kernels: nogil, cached on disk, reassociating sums but keeping infinities and NaN."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import overload

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile when first called. Kernels neither allocate much nor raise; callers check shapes and dtypes."""
    compiled = numba.njit(
        function, cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
    )
    return cast(Function, compiled)


def choose(stub: Callable[..., Any], *, inline: str = "never") -> Callable[[Function], Function]:
    """Let the decorated function return, by the types of the arguments, what to compile where kernels call `stub`."""
    return cast(Callable[[Function], Function], overload(stub, inline=inline))
