"""What the store knows of a run, ready to be shown. Reads only; what is missing or damaged is left out and said."""

from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from porelay_kit.runner.state import RunState
from porelay_kit.store.base import Store
from porelay_schemas.manifest import Failure, Manifest, Run
from porelay_schemas.messages import AnyResult
from porelay_schemas.plan import Plan
from porelay_schemas.relay import in_order
from porelay_schemas.section import Check, Checks, Section

M = TypeVar("M", bound=BaseModel)
Status = Literal["done", "failed", "open"]


@dataclass(frozen=True)
class StagePage:
    """One stage of the plan: what it left, as far as it came."""

    name: str
    result: AnyResult | None = None
    failure: Failure | None = None
    section: Section | None = None
    manifest: Manifest | None = None
    pictures: dict[str, bytes] | None = None

    @property
    def status(self) -> Status:
        """Whether it is done, has failed, or neither yet."""
        return "done" if self.result else "failed" if self.failure else "open"

    @property
    def checks(self) -> list[Check]:
        """All verdicts of its section."""
        blocks = self.section.blocks if self.section else ()
        return [check for block in blocks if isinstance(block, Checks) for check in block.checks]


@dataclass(frozen=True)
class RunPage:
    """A run and the stages of its plan, in the order of the route."""

    run: Run
    plan: Plan
    stages: tuple[StagePage, ...]
    cancelled: bool

    def having(self, status: Status) -> list[StagePage]:
        """Return the stages of that status."""
        return [stage for stage in self.stages if stage.status == status]


def gather(store: Store, run_id: str) -> RunPage:
    """Read a run; raise BadInput where there is no such run."""
    state = RunState(store, run_id)
    run, plan, results, failures = state.run(), state.plan(), state.results(), state.failures()
    stages = [_stage(store, name, results.get(name), failures.get(name)) for name in in_order(list(plan.stages))]
    return RunPage(run, plan, tuple(stages), state.cancelled())


def _stage(store: Store, name: str, result: AnyResult | None, failure: Failure | None) -> StagePage:
    if result is None:
        return StagePage(name, failure=failure)
    prefix = result.artifact.prefix
    section = _read(store, f"{prefix}/section.json", Section)
    manifest = _read(store, f"{prefix}/manifest.json", Manifest)
    files = _pictures(section) if section else []
    pictures = {file: data for file in files if (data := _bytes(store, f"{prefix}/{file}")) is not None}
    return StagePage(name, result, None, section, manifest, pictures)


def _pictures(section: Section) -> list[str]:
    """Return the file names of all pictures of a section."""
    names: list[str | None] = []
    for block in section.blocks:
        if block.kind == "figure":
            names.append(block.file)
        elif block.kind == "gallery":
            names += [figure.file for figure in block.figures]
        elif block.kind == "checks":
            names += [check.file for check in block.checks]
    return [name for name in names if name]


def _bytes(store: Store, key: str) -> bytes | None:
    if ".." in key.split("/"):
        return None
    try:
        return store.read(key)
    except KeyError:
        return None


def _read(store: Store, key: str, model: type[M]) -> M | None:
    data = _bytes(store, key)
    try:
        return model.model_validate_json(data) if data is not None else None
    except ValidationError:
        return None
