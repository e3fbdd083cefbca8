"""Plans from YAML: shipped ones by name, anybody's by path, changed by `--set`, made explicit and checked."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from porelay_kit.plugins import bind, families_of
from porelay_schemas.errors import BadInput, UnknownMethod, nearest
from porelay_schemas.plan import MethodCall, Plan, StagePlan
from porelay_schemas.relay import in_order

SHIPPED = files("porelay_kit") / "plans"


def shipped() -> list[str]:
    """Return the names of the shipped plans."""
    return sorted(entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml"))


def text(name_or_file: str) -> str:
    """Return the YAML of a plan; raise BadInput where there is none of that name or path."""
    if name_or_file in shipped():
        return (SHIPPED / f"{name_or_file}.yaml").read_text(encoding="utf-8")
    path = Path(name_or_file).expanduser()
    if path.is_file():
        return path.read_text(encoding="utf-8")
    raise BadInput(f"plan {name_or_file!r}: neither a shipped plan nor a file. {nearest(name_or_file, shipped())}")


def load(name_or_file: str, changes: Iterable[str] = (), **options: Any) -> Plan:
    """Return a checked plan with every parameter explicit.

    `changes` are `stage.param=value` or `stage.method.param=value`; `options` (`voxel_um`, `seed`) replace the plan's
    own where they are not None. Raises BadInput or UnknownMethod, all problems in one text.
    """
    return parse(text(name_or_file), name_or_file, changes, **options)


def parse(content: str, source: str, changes: Iterable[str] = (), **options: Any) -> Plan:
    """Return the plan of a YAML text as `load` does; `source` is what errors call it."""
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise BadInput(f"plan {source!r}: not YAML ({error}). Correct that line.") from error
    if not isinstance(document, dict):
        raise BadInput(f"plan {source!r}: wanted a mapping with 'name', 'phases' and 'stages'.")
    document |= {name: value for name, value in options.items() if value is not None}
    plan = _validated(document, source)
    for change in changes:
        plan = changed(plan, change)
    return explicit(plan)


def _validated(document: dict[str, Any], source: str) -> Plan:
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        lines = [_problem(problem) for problem in error.errors()]
        raise BadInput(f"plan {source!r}: " + "\n".join(lines)) from error


def _problem(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = Plan.model_fields if len(problem["loc"]) == 1 else StagePlan.model_fields
        return f"{where}: not known here. {nearest(str(problem['loc'][-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def explicit(plan: Plan) -> Plan:
    """Return the plan with every parameter filled in; raise BadInput with all that is wrong with it."""
    stages, problems = {}, []
    for name in in_order(list(plan.stages)):
        calls = []
        for call in plan.stages[name].use:
            try:
                calls.append(_explicit(name, call, plan.seed))
            except (BadInput, UnknownMethod) as error:
                problems.append(error)
        stages[name] = plan.stages[name].model_copy(update={"use": tuple(calls)})
    if problems:
        kind = UnknownMethod if all(isinstance(problem, UnknownMethod) for problem in problems) else BadInput
        raise kind("\n".join(str(problem) for problem in problems))
    return plan.model_copy(update={"stages": stages})


def _explicit(stage: str, call: MethodCall, seed: int | None = None) -> MethodCall:
    bound = bind(families_of(stage), call, seed=seed)
    return MethodCall(method=bound.name, params=bound.params.model_dump(mode="json"))


def changed(plan: Plan, change: str) -> Plan:
    """Return the plan with one parameter changed; raise BadInput where the change cannot be understood."""
    stage = change.partition("=")[0].partition(".")[0]
    if stage in plan.stages:
        use = _changed(stage, plan.stages[stage].use, change)
        stages = plan.stages | {stage: plan.stages[stage].model_copy(update={"use": use})}
        return plan.model_copy(update={"stages": stages})
    _parts(change)
    raise BadInput(f"--set {change!r}: the plan has no stage {stage!r}. {nearest(stage, plan.stages)}")


def changed_calls(stage: str, use: tuple[MethodCall, ...], changes: Iterable[str]) -> tuple[MethodCall, ...]:
    """Return the method calls of a stage with parameters changed, all of them explicit and checked as a plan's are."""
    for change in changes:
        use = _changed(stage, use, change)
    return tuple(_explicit(stage, call) for call in use)


def _parts(change: str) -> tuple[list[str], str]:
    target, equals, value = change.partition("=")
    parts = target.split(".")
    if not equals or len(parts) not in (2, 3):
        raise BadInput(f"--set {change!r}: wanted stage.param=value, or stage.method.param=value.")
    return parts, value


def _changed(stage: str, calls: tuple[MethodCall, ...], change: str) -> tuple[MethodCall, ...]:
    parts, value = _parts(change)
    param = parts[-1]
    chosen = [call for call in calls if len(parts) == 2 or call.method == parts[1]]
    if len(chosen) != 1:
        names = [call.method for call in calls]
        raise BadInput(f"--set {change!r}: stage {stage!r} uses {names}; name one of them: {stage}.METHOD.{param}=...")
    params = chosen[0].params | {param: yaml.safe_load(value)}
    return tuple(MethodCall(method=c.method, params=params) if c is chosen[0] else c for c in calls)


def dump(plan: Plan) -> str:
    """Return a plan as YAML."""
    document = plan.model_dump(mode="json", exclude={"stages"})
    document["stages"] = {name: _stage(stage) for name, stage in plan.stages.items()}
    dumped: str = yaml.safe_dump(document, sort_keys=False, width=100)
    return dumped


def _stage(stage: StagePlan) -> Any:
    use = [{call.method: call.params} if call.params else call.method for call in stage.use]
    return {"after": list(stage.after), "use": use} if stage.after else use
