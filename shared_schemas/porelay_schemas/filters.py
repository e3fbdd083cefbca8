"""What a filter of `preprocess` declares beside its function, so that one runner fits them all.

A filter is a pure function `name(grey, params) -> grey` of a whole array (z, y, x), usable in a notebook. One of four
decorators says how it may be run on a volume larger than memory:

    @local(halo=...)        a voxel depends on its neighbours up to `halo` voxels away
    @slicewise()            a slice (y, x) depends on itself alone
    @fitted(fit=, apply=)   a small model is learned from the whole volume, then applied block by block
    @reframing(...)         shape or voxel size change

The result must not depend on how the volume is cut into blocks. Nothing here imports NumPy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from porelay_schemas.base import Axis3, Params, VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.frames import Box, Frame, InMemory, Source, frame_of, full_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Halo = Axis3 | Callable[[Any], Axis3]


@dataclass(frozen=True)
class Place:
    """Where a block lies: `source` box read, `result` box wanted, `frame` of the source."""

    source: Box
    result: Box
    frame: Frame


@dataclass(frozen=True)
class Series:
    """Curves over one axis, for the report: label -> (x, y)."""

    title: str
    xlabel: str
    ylabel: str
    curves: dict[str, tuple[list[float], list[float]]]


@dataclass(frozen=True)
class Facts:
    """What a filter has to tell about its work: numbers by name (units in the name), curves, sentences."""

    numbers: dict[str, float | str] = field(default_factory=dict)
    series: tuple[Series, ...] = ()
    notes: tuple[str, ...] = ()


Apply = Callable[["NDArray[Any]", Place, Any, Any], "NDArray[Any]"]


@dataclass(frozen=True)
class Filter:
    """How to run a filter on blocks; made by the decorators below.

    `fit(volume, params) -> model` (None: no model); `frame(source frame, model, params) -> result frame`;
    `needs(result box, source frame, model, params) -> source box`, inside the source; `apply(block, place, model,
    params) -> result box`; `labels`, the same for label volumes (None: voxels stay where they are); `work_bytes` are
    the temporaries of `apply`, per voxel of the source box; `tell(before, after, model, params)` gives the facts;
    `glance`: `fit` reads a few slices only.
    """

    apply: Apply
    needs: Callable[[Box, Frame, Any, Any], Box]
    frame: Callable[[Frame, Any, Any], Frame]
    fit: Callable[[Source, Any], Any] | None = None
    labels: Apply | None = None
    tell: Callable[[Source, Source, Any, Any], Facts] | None = None
    work_bytes: int = 16
    glance: bool = False


def local(*, halo: Halo, dtype: str = "", work_bytes: int = 16) -> Callable[[F], F]:
    """Declare `f(grey, params)`, whose voxels depend on those up to `halo` (z, y, x) away.

    `f` must treat the borders of the array it gets as borders of the volume. `dtype` names the result's type where
    it differs from the source's.
    """

    def declare(function: F) -> F:
        def apply(block: "NDArray[Any]", place: Place, model: None, params: Params) -> "NDArray[Any]":
            return crop_to(function(block, params=params), place)

        needs, frame = widened(halo), retyped(dtype)
        return _declared(function, Filter(apply, needs, frame, work_bytes=work_bytes))

    return declare


def slicewise(
    *, dtype: str = "", work_bytes: int = 16, tell: Callable[[Source, Source, Any, Any], Facts] | None = None
) -> Callable[[F], F]:
    """Declare `f(grey, params)`, which works on each slice (y, x) alone but needs all of it."""

    def declare(function: F) -> F:
        def apply(block: "NDArray[Any]", place: Place, model: None, params: Params) -> "NDArray[Any]":
            return crop_to(function(block, params=params), place)

        return _declared(function, Filter(apply, whole_slices, retyped(dtype), tell=tell, work_bytes=work_bytes))

    return declare


def fitted(
    *,
    fit: Callable[[Source, Any], Any],
    apply: Callable[["NDArray[Any]", Any, int, Any], "NDArray[Any]"],
    halo: Halo | None = (0, 0, 0),
    dtype: str = "",
    tell: Callable[[Source, Source, Any, Any], Facts] | None = None,
    work_bytes: int = 16,
    glance: bool = False,
) -> Callable[[F], F]:
    """Declare a filter with a model of the whole volume.

    `fit(volume, params)` streams over the slabs and returns a small frozen model; `apply(block, model, first_slice,
    params)` uses it on a block (with `halo`; None: whole slices) whose first slice has that index in the volume. The
    decorated function itself is usually one line: `return whole(this_function, grey, params)`. `glance`: `fit` reads a
    few slices only, so the volume need not be stored before it.
    """

    def declare(function: F) -> F:
        def place_and_apply(block: "NDArray[Any]", place: Place, model: Any, params: Params) -> "NDArray[Any]":
            return crop_to(apply(block, model, place.source[0].start, params), place)

        needs, frame = whole_slices if halo is None else widened(halo), retyped(dtype)
        found = Filter(place_and_apply, needs, frame, fit, tell=tell, work_bytes=work_bytes, glance=glance)
        return _declared(function, found)

    return declare


def reframing(
    *,
    frame: Callable[[Frame, Any, Any], Frame],
    needs: Callable[[Box, Frame, Any, Any], Box],
    apply: Apply,
    labels: Apply,
    fit: Callable[[Source, Any], Any] | None = None,
    tell: Callable[[Source, Source, Any, Any], Facts] | None = None,
    work_bytes: int = 16,
) -> Callable[[F], F]:
    """Declare a filter that moves voxels: see `Filter` for what the functions get and give.

    `labels` moves the voxels of a label volume in the same way, without mixing their values.
    """

    def declare(function: F) -> F:
        return _declared(function, Filter(apply, needs, frame, fit, labels, tell, work_bytes))

    return declare


def _declared(function: F, declared: Filter) -> F:
    function.filter = declared  # type: ignore[attr-defined]
    return function


def filter_of(function: Callable[..., Any]) -> Filter:
    """Return what a filter declares; raise BadInput where it declares nothing."""
    declared = getattr(function, "filter", None)
    if not isinstance(declared, Filter):
        raise BadInput(
            f"filter {function.__module__}.{function.__qualname__}: it does not say how to run it block by block. "
            "Decorate it with local, slicewise, fitted or reframing of porelay_schemas.filters."
        )
    return declared


def whole(
    function: Callable[..., Any], grey: "NDArray[Any]", params: Params, voxel_um: VoxelUm = (1.0, 1.0, 1.0)
) -> "NDArray[Any]":
    """Run a declared filter on a whole array (z, y, x): fit, then apply in one block."""
    declared, volume = filter_of(function), InMemory(grey, voxel_um)
    model = declared.fit(volume, params) if declared.fit else None
    source = frame_of(volume)
    box = full_box(declared.frame(source, model, params).shape)
    needed = declared.needs(box, source, model, params)
    return declared.apply(grey[needed], Place(needed, box, source), model, params)


def widened(halo: Halo) -> Callable[[Box, Frame, Any, Any], Box]:
    """Return `needs` of a filter with a halo: the box with more on each side, clipped to the source."""

    def needs(box: Box, frame: Frame, model: Any, params: Any) -> Box:
        more = halo(params) if callable(halo) else halo
        z, y, x = (
            slice(max(part.start - by, 0), min(part.stop + by, size))
            for part, by, size in zip(box, more, frame.shape, strict=True)
        )
        return z, y, x

    return needs


def whole_slices(box: Box, frame: Frame, model: Any, params: Any) -> Box:
    """Return the box with its slices made whole."""
    _, y, x = full_box(frame.shape)
    return box[0], y, x


def retyped(dtype: str) -> Callable[[Frame, Any, Any], Frame]:
    """Return `frame` of a filter that leaves shape and voxel size as they are."""

    def frame(source: Frame, model: Any, params: Any) -> Frame:
        return Frame(source.shape, source.voxel_um, dtype or source.dtype)

    return frame


def crop_to(block: "NDArray[Any]", place: Place) -> "NDArray[Any]":
    """Cut the wanted box out of a block that covers the source box."""
    z, y, x = (slice(w.start - s.start, w.stop - s.start) for w, s in zip(place.result, place.source, strict=True))
    return block[z, y, x]
