"""What a segmenter of `segment` declares beside its function, so that one runner fits them all.

A segmenter is a pure function `name(volume, phases, params) -> labels` of a whole array (z, y, x), usable in a
notebook; labels are uint8 indices into `phases`. Its decorator says how it may be run on a volume larger than memory:

    @segmenter(fit=..., apply=..., halo=..., places=...)

`fit(source, phases, params) -> model` streams over the volume once or more and returns a small frozen model;
`apply(block, model, params) -> labels` labels a block that has `halo` more voxels on each side. The labels must not
depend on how the volume is cut into blocks. `places(params)` tells whether the parameters mark places in the volume;
such a call fits no other image. Nothing here imports NumPy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from porelay_schemas.base import Axis3, Closed, Params
from porelay_schemas.errors import BadInput
from porelay_schemas.frames import InMemory, Source
from porelay_schemas.plan import Phase
from porelay_schemas.volumes import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Halo = Axis3 | Callable[[Any], Axis3]


class GreyClass(Closed):
    """What a phase looks like: its share of the volume (0 to 1), and its grey level, mean and standard deviation."""

    phase: str
    share: float = Field(ge=0, le=1)
    mean: float
    sigma: float = Field(ge=0)


class Model(Closed):
    """What a segmenter has learned, as far as the report shows it; a segmenter adds what it needs.

    `thresholds` are grey levels, ascending; `classes` stand in the order of the plan's phases. `ambiguous` is the share
    of voxels (0 to 1) whose label is a close call, in the sense that `ambiguous_means` states. `by_grey_level`: the
    label follows from the grey level alone, so a blurred edge passes through the phases between.
    """

    thresholds: tuple[float, ...] = ()
    classes: tuple[GreyClass, ...] = ()
    ambiguous: float | None = None
    ambiguous_means: str = ""
    by_grey_level: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segmenter:
    """How to run a segmenter on blocks; made by the decorator below. `takes` is the kind of volume it labels."""

    fit: Callable[[Source, Sequence[Phase], Any], Model]
    apply: Callable[["NDArray[Any]", Any, Any], "NDArray[Any]"]
    halo: Callable[[Any], Axis3]
    takes: Kind
    places: Callable[[Any], bool]


def segmenter(
    *,
    fit: Callable[[Source, Sequence[Phase], Any], Model],
    apply: Callable[["NDArray[Any]", Any, Any], "NDArray[Any]"],
    halo: Halo = (0, 0, 0),
    takes: Kind = "grey",
    places: Callable[[Any], bool] = lambda params: False,
) -> Callable[[F], F]:
    """Declare `f(volume, phases, params)`; its body is usually `return whole(f, volume, phases, params)`.

    `apply` may take about 16 bytes a voxel for its temporaries.
    """

    def declare(function: F) -> F:
        reach = halo if callable(halo) else lambda params: halo
        function.segmenter = Segmenter(fit, apply, reach, takes, places)  # type: ignore[attr-defined]
        return function

    return declare


def segmenter_of(function: Callable[..., Any]) -> Segmenter:
    """Return what a segmenter declares; raise BadInput where it declares nothing."""
    declared = getattr(function, "segmenter", None)
    if not isinstance(declared, Segmenter):
        raise BadInput(
            f"segmenter {function.__module__}.{function.__qualname__}: it does not say how to run it block by block. "
            "Decorate it with porelay_schemas.segmenters.segmenter."
        )
    return declared


def whole(
    function: Callable[..., Any], volume: "NDArray[Any]", phases: Sequence[Phase], params: Params
) -> "NDArray[Any]":
    """Run a declared segmenter on a whole array (z, y, x): fit, then label it in one block."""
    declared = segmenter_of(function)
    return declared.apply(volume, declared.fit(InMemory(volume), phases, params), params)
