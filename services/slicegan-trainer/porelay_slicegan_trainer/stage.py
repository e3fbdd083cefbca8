"""Learn a generator from a volume, or from images across each axis, until budget, convergence or a command ends it."""

from typing import TYPE_CHECKING, Literal, cast

from porelay_kit.bench import Bench
from porelay_kit.plugins import Bound
from porelay_kit.tiles import require
from porelay_schemas.errors import SliceOver, Stopped
from porelay_schemas.messages import SliceganTrainerRequest, SliceganTrainerResult
from porelay_schemas.plan import MethodCall
from porelay_slicegan_trainer import checkpoints, cuts, documents, page
from porelay_slicegan_trainer.memory import bytes_needed
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

if TYPE_CHECKING:
    from porelay_slicegan_trainer.learner import Learner

StoppedBy = Literal["budget", "converged", "command"]


def run(request: SliceganTrainerRequest, bench: Bench) -> SliceganTrainerResult:
    """Answer with the weights of the averaged generator and its card; `history.json` and the report lie beside them."""
    from porelay_nets import weights
    from porelay_nets.runtime import reproducible

    bound = bench.bind("trainer", request.use[0] if request.use else MethodCall(method="slicegan"))
    volume = bench.volume(request.volume)
    planes = {axis: bench.volume(ref) for axis, ref in request.planes.items()}
    phases = request.phases if volume.kind == "labels" else ()
    params = cast(SliceganParams, bound.params)
    voxel_um = cuts.voxel_of(volume, planes, params)
    needed = bytes_needed([volume.ref, *request.planes.values()], len(phases) or 1, params)
    require(bench, needed, "training on this volume")
    data = cuts.loaded(volume, planes)
    with reproducible(bench.workers):
        learner, stopped_by = learn(bound, data, len(phases) or None, bench)
        trained = learner.finish()
    weights.write(bench.path("generator.safetensors"), trained.weights)
    exported = bench.ref("generator.safetensors")
    source = documents.Source(bound.name, phases, voxel_um, data, stopped_by, bench.workers)
    card = documents.card(learner, trained, source, exported.sha256)
    bench.write_json("card.json", card.model_dump(mode="json"))
    bench.write_json("history.json", documents.history(learner, trained))
    bench.section(page.section(bench, learner, trained, card))
    return SliceganTrainerResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        weights=exported,
        card=bench.ref("card.json"),
        steps=learner.step,
        stopped_by=stopped_by,
    )


def learn(bound: Bound, data: cuts.Data, phases: int | None, bench: Bench) -> "tuple[Learner, StoppedBy]":
    """Train on, from the newest checkpoint if there is one; return the learner and what ended the training.

    Raises SliceOver, with a checkpoint kept, where the bench's slice of time is over and at least one step was made.
    """
    from porelay_nets.runtime import default_device

    folder = bench.scratch
    learner: Learner
    first: int | None = None
    for learner in bound(data, phases=phases, resume=checkpoints.newest(folder), device=default_device()):
        first = learner.step if first is None else first
        try:
            bench.progress(learner.step, learner.params.steps, **learner.figures)
        except Stopped:
            checkpoints.keep(folder, learner)
            raise
        if bench.stopping and not learner.done:
            return learner, "command"
        over = bench.slice_over and not learner.done and learner.step > first
        regular = learner.done or learner.step % learner.params.checkpoint_every == 0
        if learner.step > first and (regular or over or bench.checkpoint_due):
            checkpoints.keep(folder, learner)
            bench.keep_scratch()
        if over:
            raise SliceOver(f"slicegan-trainer: saved after step {learner.step} of {learner.params.steps}.")
    return learner, "converged" if learner.converged else "budget"
