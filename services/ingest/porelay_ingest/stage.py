"""Stage `ingest`: a dropped stack becomes a volume, with quality control."""

from contextlib import closing

from porelay_ingest.readers import open_stack
from porelay_ingest.storage import storage_of
from porelay_ingest.voxel_size import voxel_size
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import IngestRequest, IngestResult
from porelay_schemas.volumes import StackRef


def run(request: IngestRequest, bench: Bench) -> IngestResult:
    """Read the stack into a volume, its known labels beside it, run the checks, write the page of the report.

    Raises BadInput where the stack is damaged, empty, of one grey level, or its voxel size unknown or contradicted.
    """
    from porelay_ingest import page, quality
    from porelay_ingest.stream import stream

    name = request.stack.name
    with closing(open_stack(request.stack, bench)) as stack:
        facts = stack.facts
        size_um, source = voxel_size(facts, request.voxel_um, name)
        storage = storage_of(facts, request.stack_kind, name)
        volume = bench.new_volume(
            f"{request.stack_kind}.zarr",
            kind=request.stack_kind,
            shape=facts.shape,
            dtype=storage.dtype,
            voxel_um=size_um,
        )
        watch = stream(stack, storage, volume, bench)
    if request.stack_kind == "grey" and watch.single_level is not None:
        raise BadInput(
            f"{name}: all voxels have the one grey level {watch.single_level:g}, wanted an image. "
            "Export the stack again, and look at it in a viewer first."
        )
    truth, truth_rule = _truth(request.truth, request, volume, bench) if request.truth else (None, "")
    checked = quality.run_checks(request.use, watch.sample(facts, size_um, len(request.phases)), bench)
    values = watch.values() if request.stack_kind == "labels" else []
    account = page.Account(facts, volume, source, storage.rule, checked, values, truth, truth_rule)
    page.write(account, request, bench)
    return IngestResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        volume=volume.ref,
        truth=truth.ref if truth else None,
        verdict=quality.worst(checked),
    )


def _truth(ref: StackRef, request: IngestRequest, volume: Volume, bench: Bench) -> tuple[Volume, str]:
    """Ingest the known labels as phase indices; return them and how they were mapped."""
    from porelay_ingest import truth
    from porelay_ingest.stream import stream

    with closing(open_stack(ref, bench)) as stack:
        truth.check_shape(stack.facts.shape, volume.shape, ref.name)
        storage = truth.to_phases(truth.distinct(stack, ref.name, bench), request.phases, ref.name)
        labels = bench.new_volume(
            "truth.zarr", kind="labels", shape=volume.shape, dtype=storage.dtype, voxel_um=volume.voxel_um
        )
        stream(stack, storage, labels, bench)
    return labels, storage.rule
