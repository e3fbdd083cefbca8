"""Clean a grey volume with the plan's filters, in their order."""

from collections.abc import Sequence

from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_preprocess import report
from porelay_preprocess.chain import Chain
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import PreprocessRequest, PreprocessResult
from porelay_schemas.planes import PlaneAxis, each
from porelay_schemas.section import Block
from porelay_schemas.volumes import VolumeRef


def run(request: PreprocessRequest, bench: Bench) -> PreprocessResult:
    """Answer with the cleaned volume, the truth moved along where a filter moves voxels, and the planes likewise."""
    volume = bench.volume(request.volume)
    truth = bench.volume(request.truth) if request.truth else None
    _check(volume, truth)
    chain = _filtered(request, Chain(bench, volume, truth))
    cleaned = chain.written(chain.source, f"{volume.kind}.zarr", volume.kind)
    moved = chain.written(chain.truth, "truth.zarr", "labels") if chain.truth else None
    section = report.section(bench, volume, bench.volume(cleaned), chain.steps, request.phases)
    planes = each(request.planes, lambda axis, ref: _plane(axis, ref, request, bench))
    blocks = [block for _, page in planes.values() for block in page]
    bench.section(section.model_copy(update={"blocks": (*section.blocks, *blocks)}))
    return PreprocessResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        volume=cleaned,
        truth=moved,
        planes={axis: ref for axis, (ref, _) in planes.items()},
    )


def _filtered(request: PreprocessRequest, chain: Chain) -> Chain:
    for call in request.use:
        chain.add(chain.bench.bind("filter", call))
    return chain


def _plane(
    axis: PlaneAxis, ref: VolumeRef, request: PreprocessRequest, bench: Bench
) -> tuple[VolumeRef, Sequence[Block]]:
    """Clean a plane in its own frame, with what each filter learns from it alone; return it and its page."""
    volume = bench.volume(ref)
    chain = _filtered(request, Chain(bench, volume, None))
    cleaned = chain.written(chain.source, f"plane_{axis}.zarr", volume.kind)
    return cleaned, report.plane(bench, axis, (volume, bench.volume(cleaned)), chain.steps, request.phases)


def _check(volume: Volume, truth: Volume | None) -> None:
    if truth is not None and truth.shape != volume.shape:
        raise BadInput(
            f"truth: shape (z, y, x) is {truth.shape}, wanted {volume.shape}, that of the stack. "
            "Drop a truth that labels the same voxels."
        )
