"""How torch is set up while Porelay trains or samples: explicit threads, deterministic algorithms."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Use `threads` threads and deterministic algorithms inside, and what was set before afterwards.

    The order of floating-point sums depends on the number of threads, so results are the same to the bit only for
    the same number of them.
    """
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    # cuBLAS reads this when it starts; without it, deterministic algorithms refuse to run on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = torch.utils.deterministic
    fills, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    torch.set_num_threads(threads)
    # The same as use_deterministic_algorithms(True), which takes seconds: it imports torch's compiler.
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        memory.fill_uninitialized_memory = fills


def default_device() -> str:
    """Return `cuda` where torch can use one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"
