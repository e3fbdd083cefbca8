"""Stage `ingest`: a dropped stack becomes a volume, with quality control."""

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from porelay_ingest.readers import open_stack
from porelay_ingest.storage import storage_of
from porelay_ingest.voxel_size import voxel_size
from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import IngestRequest, IngestResult
from porelay_schemas.planes import PlaneAxis, each, own_edges
from porelay_schemas.volumes import StackRef

if TYPE_CHECKING:
    from porelay_ingest.page import Account


def run(request: IngestRequest, bench: Bench) -> IngestResult:
    """Read the stack into a volume, its known labels and its planes beside it, run the checks, write the page.

    Raises BadInput where a stack is damaged, empty, of one grey level, or its voxel size unknown or contradicted.
    """
    from porelay_ingest import page

    main = _taken(request.stack, None, request, bench)
    truth, truth_rule = _truth(request.truth, request, main.volume, bench) if request.truth else (None, "")
    planes = each(request.planes, lambda axis, ref: _taken(ref, axis, request, bench))
    account = replace(main, truth=truth, truth_rule=truth_rule, planes=planes)
    page.write(account, request, bench)
    return IngestResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        volume=account.volume.ref,
        truth=truth.ref if truth else None,
        planes={axis: plane.volume.ref for axis, plane in planes.items()},
        verdict=page.verdict(account),
    )


def _taken(ref: StackRef, axis: PlaneAxis | None, request: IngestRequest, bench: Bench) -> "Account":
    """Stream a dropped stack into a volume and check it: the main one, or the plane across `axis` in its own frame."""
    from porelay_ingest import page, quality
    from porelay_ingest.stream import stream

    asked = own_edges(request.voxel_um, axis) if request.voxel_um and axis else request.voxel_um
    with closing(open_stack(ref, bench)) as stack:
        facts = stack.facts
        size_um, source = voxel_size(facts, asked, ref.name)
        storage = storage_of(facts, request.stack_kind, ref.name)
        volume = bench.new_volume(
            f"plane_{axis}.zarr" if axis else f"{request.stack_kind}.zarr",
            kind=request.stack_kind,
            shape=facts.shape,
            dtype=storage.dtype,
            voxel_um=size_um,
        )
        watch = stream(stack, storage, volume, bench)
    if request.stack_kind == "grey" and watch.single_level is not None:
        raise BadInput(
            f"{ref.name}: all voxels have the one grey level {watch.single_level:g}, wanted an image. "
            "Export the stack again, and look at it in a viewer first."
        )
    sample = watch.sample(facts, size_um, len(request.phases))
    checked = quality.run_checks(request.use, sample, bench, f"qc/plane_{axis}" if axis else "qc")
    values = watch.values() if request.stack_kind == "labels" else []
    return page.Account(ref, facts, volume, source, storage.rule, checked, values)


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
