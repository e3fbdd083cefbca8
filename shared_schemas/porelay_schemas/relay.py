"""Which stage is next, and what it is asked: computed from route, plan and results alone, by whoever asks.

There is no orchestrator: a worker that has finished a stage asks here what follows. Two that ask at once get the same
answer, and the second request is absorbed by its content key.
"""

from collections.abc import Callable, Container, Mapping
from typing import Any

from porelay_schemas import messages as m
from porelay_schemas.manifest import Run
from porelay_schemas.plan import MethodCall, Plan
from porelay_schemas.route import STAGES
from porelay_schemas.volumes import Kind, VolumeRef

Results = Mapping[str, m.AnyResult]


def ready(plan: Plan, done: Container[str]) -> list[str]:
    """Return the stages, in route order, that are not done yet and all of whose feeders are."""
    open_stages = [name for name in plan.stages if name not in done]
    return [name for name in in_order(open_stages) if all(feeder in done for feeder in plan.feeders(name))]


def fed_alone(plan: Plan, stage: str) -> list[str]:
    """Return the stages, in route order, that need the result of this stage and no other's."""
    return in_order([name for name in plan.stages if plan.feeders(name) == (stage,)])


def in_order(names: list[str]) -> list[str]:
    """Sort stages as the route has them."""
    return [name for name in STAGES if name in names]


def request_for(stage: str, run: Run, plan: Plan, results: Results) -> m.AnyRequest:
    """Return the request of a stage that is `ready`; of the results only its feeders' are looked at."""
    common = {"run_id": run.run_id, "plan": run.plan, "use": plan.stages[stage].use, "phases": plan.phases}
    fed_by = [results[name] for name in plan.feeders(stage)]
    return _BUILDERS[stage](common, run, plan, fed_by)


def _ingest(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.IngestRequest:
    kind: Kind = "labels" if [call.method for call in _use(plan, "segment")] == ["labels"] else "grey"
    return m.IngestRequest(
        **common, stack=run.stack, truth=run.truth, planes=run.planes, voxel_um=plan.voxel_um, stack_kind=kind
    )


def _use(plan: Plan, stage: str) -> tuple[MethodCall, ...]:
    return plan.stages[stage].use if stage in plan.stages else ()


def _with_truth_and_planes(model: type) -> Callable[..., m.AnyRequest]:
    def build(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.AnyRequest:
        (source,) = fed_by
        assert isinstance(source, (m.IngestResult, m.PreprocessResult))
        request: m.AnyRequest = model(**common, volume=source.volume, truth=source.truth, planes=source.planes)
        return request

    return build


def _trainer(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.SliceganTrainerRequest:
    (source,) = fed_by
    assert isinstance(source, (m.IngestResult, m.PreprocessResult, m.SegmentResult))
    return m.SliceganTrainerRequest(**common, volume=_volume(source), planes=source.planes)


def _sampler(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.SamplerRequest:
    return m.SamplerRequest(**common, generator=fed_by[0].artifact)


def _metrics(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.MetricsRequest:
    real = [result.labels for result in fed_by if isinstance(result, m.SegmentResult)]
    generated = [volume for result in fed_by if isinstance(result, m.SamplerResult) for volume in result.volumes]
    return m.MetricsRequest(**common, real=real[0] if real else None, generated=tuple(generated))


def _mesher(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.MesherRequest:
    return m.MesherRequest(**common, volume=_volume(fed_by[0]))


def _comsol(common: dict[str, Any], run: Run, plan: Plan, fed_by: list[m.AnyResult]) -> m.ComsolBridgeRequest:
    mesh = next(result for result in fed_by if isinstance(result, m.MesherResult))
    measured = [result.artifact for result in fed_by if isinstance(result, m.MetricsResult)]
    metrics = measured[0] if measured else None
    return m.ComsolBridgeRequest(**common, mesh=mesh.artifact, volume=mesh.volume, metrics=metrics)


def _volume(result: m.AnyResult) -> VolumeRef:
    if isinstance(result, m.SegmentResult):
        return result.labels
    if isinstance(result, m.SamplerResult):
        return result.volumes[0]
    assert isinstance(result, (m.IngestResult, m.PreprocessResult))
    return result.volume


_BUILDERS: dict[str, Callable[..., m.AnyRequest]] = {
    "ingest": _ingest,
    "preprocess": _with_truth_and_planes(m.PreprocessRequest),
    "segment": _with_truth_and_planes(m.SegmentRequest),
    "slicegan-trainer": _trainer,
    "sampler": _sampler,
    "metrics": _metrics,
    "mesher": _mesher,
    "comsol-bridge": _comsol,
}
