"""Clean a grey volume with the plan's filters, in their order."""

from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_preprocess import report
from porelay_preprocess.chain import Chain
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import PreprocessRequest, PreprocessResult


def run(request: PreprocessRequest, bench: Bench) -> PreprocessResult:
    """Answer with the cleaned volume, and with the truth moved along where a filter moves voxels."""
    volume = bench.volume(request.volume)
    truth = bench.volume(request.truth) if request.truth else None
    _check(volume, truth)
    chain = Chain(bench, volume, truth)
    for call in request.use:
        chain.add(bench.bind("filter", call))
    cleaned = chain.written(chain.source, f"{volume.kind}.zarr", volume.kind)
    moved = chain.written(chain.truth, "truth.zarr", "labels") if chain.truth else None
    bench.section(report.section(bench, volume, bench.volume(cleaned), chain.steps, request.phases))
    return PreprocessResult(
        run_id=request.run_id, artifact=bench.artifact, seconds=bench.seconds, volume=cleaned, truth=moved
    )


def _check(volume: Volume, truth: Volume | None) -> None:
    if truth is not None and truth.shape != volume.shape:
        raise BadInput(
            f"truth: shape (z, y, x) is {truth.shape}, wanted {volume.shape}, that of the stack. "
            "Drop a truth that labels the same voxels."
        )
