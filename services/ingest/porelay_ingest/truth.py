"""Known labels that come with a stack: brought to the plan's phases."""

import numpy as np
from numpy.typing import NDArray

from porelay_ingest.storage import Storage, check_labels
from porelay_ingest.stream import slabs
from porelay_kit.bench import Bench
from porelay_kit.tiles import require
from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase
from porelay_schemas.stacks import Stack

MOST = 256
SLAB_BYTES = 2**25


def check_shape(truth: Axis3, stack: Axis3, name: str) -> None:
    """Raise BadInput where truth and stack do not describe the same voxels."""
    if truth != stack:
        raise BadInput(
            f"truth {name}: shape (z, y, x) is {truth}, that of the stack {stack}; wanted labels of the same voxels. "
            "Give the labels that belong to this stack, cropped like it."
        )


def distinct(stack: Stack, name: str, bench: Bench) -> list[float]:
    """Return the distinct values of a label stack, ascending; raise BadInput for too many or broken ones."""
    found: set[float] = set()
    item = np.dtype(stack.facts.dtype).itemsize
    plane = stack.facts.shape[1] * stack.facts.shape[2] * item
    require(bench, 4 * plane, "one slice of the truth")
    for z0, slab in slabs(stack, max(1, min(SLAB_BYTES, bench.max_memory_bytes // 8) // plane)):
        for z, image in enumerate(slab, z0):
            check_labels(image, f"truth {name}: slice {z}")
            found.update(_values(image))
            if len(found) > MOST:
                raise BadInput(
                    f"truth {name}: holds more than {MOST} distinct values up to slice {z}, wanted one a phase. "
                    "It is a grey stack, or labels blurred by JPEG or resampling: "
                    "export the labels again, as TIFF or PNG."
                )
    return sorted(found)


def _values(image: NDArray[np.generic]) -> list[float]:
    if image.dtype == np.bool_:
        image = image.view(np.uint8)
    if image.dtype == np.uint8:
        return [float(value) for value in np.flatnonzero(np.bincount(image.ravel(), minlength=MOST))]
    return [float(value) for value in np.unique(image)]


def to_phases(values: list[float], phases: tuple[Phase, ...], name: str) -> Storage:
    """Return how truth values become phase indices: as they are, or by rank where there is one for each phase.

    Raises BadInput where they are neither.
    """
    if all(0 <= value < len(phases) for value in values):
        return Storage(
            "uint8",
            "values are phase indices",
            lambda slab, z0: slab.view(np.uint8) if _byte(slab) else slab.astype(np.uint8),
        )
    if len(values) != len(phases):
        names = ", ".join(phase.name for phase in phases)
        raise BadInput(
            f"truth {name}: holds the values {_words(values)}, wanted 0 to {len(phases) - 1}, or {len(phases)} "
            f"distinct values in the order of the plan's phases ({names}). Name as many phases in the plan, or "
            "renumber the labels."
        )
    ranked = np.array(values)
    mapped = ", ".join(f"{value:g} is {phase.name}" for value, phase in zip(values, phases, strict=True))
    return Storage("uint8", f"by rank: {mapped}", lambda slab, z0: np.searchsorted(ranked, slab).astype(np.uint8))


def _byte(slab: NDArray[np.generic]) -> bool:
    return slab.dtype in (np.bool_, np.uint8)


def _words(values: list[float], most: int = 12) -> str:
    words = ", ".join(f"{value:g}" for value in values[:most])
    return words + (f" and {len(values) - most} more" if len(values) > most else "")
