"""Room: what is left on a disk, and when that is too little."""

from porelay_kit.doctor.finding import Answer, fail, ok, warn

FAIL_BYTES, WARN_BYTES = 2**30, 20 * 2**30
"""A stack of 1000 slices of 2048 x 2048 and what is made of it take about 20 GiB."""


def size(count: float) -> str:
    """Return bytes as a person reads them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def left(free_bytes: int, where: str) -> Answer:
    """Judge the room for stacks and results."""
    seen = f"{size(free_bytes)} free {where}".rstrip()
    advice = "Free some space, or give the store a bigger place."
    if free_bytes < FAIL_BYTES:
        return fail(f"{seen}, wanted at least {size(FAIL_BYTES)}", advice)
    if free_bytes < WARN_BYTES:
        return warn(f"{seen}; a big stack and its results take {size(WARN_BYTES)}", advice)
    return ok(seen)
