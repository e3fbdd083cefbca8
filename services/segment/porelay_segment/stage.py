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
from porelay_schemas.segmenters import Model, segmenter_of
from porelay_segment import mapping, report, tally


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
    """Answer with the labels, the volume fractions, and the agreement with the truth where it is known."""
    volume = bench.volume(request.volume)
    bound = _the_one(request, bench)
    declared = segmenter_of(bound.function)
    _check_kind(bound, volume)
    truth, table = _truth(request, bench, volume)
    model = declared.fit(volume, request.phases, bound.params)
    labels = bench.new_volume("labels.zarr", kind="labels", shape=volume.shape, dtype="uint8", voxel_um=volume.voxel_um)
    label = Labelling(declared.apply, model, bound.params)
    tiles.map_blocks(label, volume, labels, halo=declared.halo(bound.params), bench=bench)
    counts = tally.counted(labels, truth, table, len(request.phases))
    page = report.Page(bench, bound, model, volume, labels, request.phases, counts, truth is not None)
    bench.section(page.section())
    bench.write_json("model.json", model.model_dump(mode="json"))
    return SegmentResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        labels=labels.ref,
        fractions={phase.name: float(f) for phase, f in zip(request.phases, counts.fractions, strict=True)},
        dice=counts.dice(request.phases) if truth is not None else None,
    )


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
