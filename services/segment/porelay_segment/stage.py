"""Label the phases of a volume."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_kit import tiles
from porelay_kit.bench import Bench
from porelay_kit.plugins import Bound
from porelay_kit.volumes import Volume
from porelay_schemas.base import Params
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import SegmentRequest, SegmentResult
from porelay_schemas.planes import PlaneAxis, each
from porelay_schemas.segmenters import Model, segmenter_of
from porelay_schemas.volumes import VolumeRef
from porelay_segment import mapping, planes, report, tally


@dataclass(frozen=True)
class Labelling:
    """A segmenter with what it has learned, ready to travel to where the blocks are."""

    apply: Callable[[NDArray[Any], Any, Any], NDArray[Any]]
    model: Model
    params: Params

    def __call__(self, block: NDArray[Any]) -> NDArray[Any]:
        """Label a block."""
        return self.apply(block, self.model, self.params)


def run(request: SegmentRequest, bench: Bench) -> SegmentResult:
    """Answer with the labels, the volume fractions, and the agreement with the truth where it is known.

    Each plane is labelled by the same method and parameters, with what is learned from it alone: micrographs that were
    taken one by one differ in exposure.
    """
    volume = bench.volume(request.volume)
    bound = _the_one(request, bench)
    _check_kind(bound, volume)
    _check_places(bound, request)
    truth, table = _truth(request, bench, volume)
    model, labels = _labelled(bound, volume, "labels.zarr", request, bench)
    counts = tally.counted(labels, truth, table, len(request.phases))
    others = each(request.planes, lambda axis, ref: _plane(axis, ref, bound, request, bench))
    page = report.Page(bench, bound, model, volume, labels, request.phases, counts, truth is not None)
    section = page.section()
    more = planes.blocks(bench, planes.Segmented(volume, labels, model, counts), others, request.phases)
    bench.section(section.model_copy(update={"blocks": (*section.blocks, *more)}))
    bench.write_json("model.json", model.model_dump(mode="json"))
    return SegmentResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        labels=labels.ref,
        fractions={phase.name: float(f) for phase, f in zip(request.phases, counts.fractions, strict=True)},
        dice=counts.dice(request.phases) if truth is not None else None,
        planes={axis: plane.labels.ref for axis, plane in others.items()},
    )


def _labelled(bound: Bound, volume: Volume, name: str, request: SegmentRequest, bench: Bench) -> tuple[Model, Volume]:
    """Learn from a volume and label it."""
    declared = segmenter_of(bound.function)
    model = declared.fit(volume, request.phases, bound.params)
    labels = bench.new_volume(name, kind="labels", shape=volume.shape, dtype="uint8", voxel_um=volume.voxel_um)
    label = Labelling(declared.apply, model, bound.params)
    tiles.map_blocks(label, volume, labels, halo=declared.halo(bound.params), bench=bench)
    return model, labels


def _plane(axis: PlaneAxis, ref: VolumeRef, bound: Bound, request: SegmentRequest, bench: Bench) -> planes.Segmented:
    volume = bench.volume(ref)
    model, labels = _labelled(bound, volume, f"plane_{axis}.zarr", request, bench)
    bench.write_json(f"model_plane_{axis}.json", model.model_dump(mode="json"))
    counts = tally.counted(labels, None, np.zeros(0, np.uint8), len(request.phases))
    return planes.Segmented(volume, labels, model, counts)


def _the_one(request: SegmentRequest, bench: Bench) -> Bound:
    if len(request.use) != 1:
        names = ", ".join(call.method for call in request.use) or "none"
        raise BadInput(f"segment: got {len(request.use)} methods ({names}), wanted exactly one. Keep one, e.g. [otsu].")
    return bench.bind("segmenter", request.use[0])


def _check_kind(bound: Bound, volume: Volume) -> None:
    takes = segmenter_of(bound.function).takes
    if takes == volume.kind:
        return
    if takes == "grey":
        fix = "It is segmented already: write 'segment: [labels]' in the plan."
    else:
        fix = "Use a method for grey levels, e.g. 'segment: [otsu]', or drop the stack as labels."
    raise BadInput(f"segment.{bound.name}: the volume holds {volume.kind}, wanted {takes}. {fix}")


def _check_places(bound: Bound, request: SegmentRequest) -> None:
    if request.planes and segmenter_of(bound.function).places(bound.params):
        raise BadInput(
            f"segment.{bound.name}: its parameters mark places in the stack, which mean nothing in the separate images "
            f"across {', '.join(request.planes)}. Leave the marks out, or use a method that needs none, e.g. [otsu]."
        )


def _truth(request: SegmentRequest, bench: Bench, volume: Volume) -> tuple[Volume | None, NDArray[np.uint8]]:
    """Return the truth and the label of each of its values; raise BadInput where it does not fit."""
    if request.truth is None:
        return None, np.zeros(0, np.uint8)
    truth = bench.volume(request.truth)
    if truth.shape != volume.shape:
        raise BadInput(
            f"truth: shape (z, y, x) is {truth.shape}, wanted {volume.shape}, that of the volume. "
            "Drop a truth that labels the same voxels."
        )
    counts = mapping.value_counts(truth, "truth")
    known = range(len(request.phases))
    found = {value: value for value in known} if set(counts) <= set(known) else None
    found = found or mapping.by_rank(counts, request.phases, "truth")
    return truth, mapping.translated(np.arange(np.iinfo(truth.dtype).max + 1, dtype=truth.dtype), found)
