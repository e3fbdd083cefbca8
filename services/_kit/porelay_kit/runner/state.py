"""What a run is, in the store: `runs/<run_id>/` holds the run, its plan, requests, results and failures."""

import hashlib
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pydantic import TypeAdapter

from porelay_kit.store.base import Store
from porelay_schemas import planes as separate
from porelay_schemas.errors import BadInput, Permanent, nearest
from porelay_schemas.manifest import Failure, Run
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import Plan
from porelay_schemas.planes import PlaneAxis
from porelay_schemas.route import STAGES
from porelay_schemas.volumes import StackRef

RESULT: TypeAdapter[AnyResult] = TypeAdapter(AnyResult)
REQUEST: TypeAdapter[AnyRequest] = TypeAdapter(AnyRequest)


class RunState:
    """One run, as the store has it. Every method reads or writes at once: nothing is remembered."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self.prefix = f"runs/{run_id}"

    def run(self) -> Run:
        """Return what was dropped; raise BadInput where there is no such run."""
        try:
            return Run.model_validate_json(self.store.read(f"{self.prefix}/run.json"))
        except KeyError as error:
            hint = nearest(self.run_id, run_ids(self.store))
            raise BadInput(f"run {self.run_id!r}: not in {self.store.url}. {hint}") from error

    def plan(self) -> Plan:
        """Return the run's plan, every parameter explicit."""
        return Plan.model_validate_json(self.store.read(f"plans/{self.run().plan}.json"))

    def results(self) -> dict[str, AnyResult]:
        """Return the results so far, by stage."""
        found = {}
        for stage in STAGES:
            key = f"{self.prefix}/results/{stage}.json"
            if self.store.exists(key):
                found[stage] = RESULT.validate_json(self.store.read(key))
        return found

    def failures(self) -> dict[str, Failure]:
        """Return why stages stopped, by stage."""
        keys = [f"{self.prefix}/failures/{stage}.json" for stage in STAGES]
        found = [Failure.model_validate_json(self.store.read(key)) for key in keys if self.store.exists(key)]
        return {failure.stage: failure for failure in found}

    def asked(self, request: AnyRequest) -> None:
        """Note that a stage was asked for."""
        self._write(f"requests/{request.stage}.json", request.model_dump_json(indent=1))

    def done(self, result: AnyResult) -> None:
        """Note a result; an earlier failure of that stage is past."""
        self._write(f"results/{result.stage}.json", result.model_dump_json(indent=1))
        self.store.delete(f"{self.prefix}/failures/{result.stage}.json")

    def failed(self, stage: str, error: BaseException) -> Failure:
        """Note why a stage stopped."""
        failure = Failure(
            run_id=self.run_id,
            stage=stage,
            error=type(error).__name__,
            permanent=isinstance(error, Permanent),
            text=str(error) or type(error).__name__,
            traceback="".join(traceback.format_exception(error)),
            at=datetime.now(UTC),
        )
        self._write(f"failures/{stage}.json", failure.model_dump_json(indent=1))
        return failure

    def cancel(self, *, only_training: bool = False) -> None:
        """Ask the run to stop, or only its training to end with what it has learned."""
        self.run()
        self._write("finish-training" if only_training else "cancel", "")

    def cancelled(self) -> bool:
        """Return whether the run was asked to stop."""
        return self.store.exists(f"{self.prefix}/cancel")

    def finish_training(self) -> bool:
        """Return whether training was asked to end."""
        return self.store.exists(f"{self.prefix}/finish-training")

    def resume(self) -> None:
        """Forget that the run was asked to stop."""
        self.store.delete(f"{self.prefix}/cancel")

    def _write(self, name: str, text: str) -> None:
        self.store.write(f"{self.prefix}/{name}", text.encode())


def run_ids(store: Store) -> list[str]:
    """Return all runs of a store."""
    return sorted({key.split("/")[1] for key in store.list("runs") if key.endswith("/run.json")})


def start(
    store: Store,
    plan: Plan,
    stack: StackRef,
    truth: StackRef | None = None,
    planes: Mapping[PlaneAxis, StackRef] = MappingProxyType({}),
) -> RunState:
    """Write down a run, unless it is there: the same drop under the same plan is the same run.

    Raises BadInput where there are planes that the plan cannot learn from.
    """
    separate.check(plan, planes)
    digest = plan.digest()
    store.write_new(f"plans/{digest}.json", plan.model_dump_json(indent=1).encode())
    identity = "|".join([stack.sha256, truth.sha256 if truth else "", digest, *_across(planes)])
    run_id = f"{_slug(stack.name)}-{plan.name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    state = RunState(store, run_id)
    run = Run(
        run_id=run_id,
        stack=stack,
        truth=truth,
        planes=dict(planes),
        plan=digest,
        plan_name=plan.name,
        created=datetime.now(UTC),
    )
    if not store.write_new(f"{state.prefix}/run.json", run.model_dump_json(indent=1).encode()):
        moved = state.run().model_copy(update={"stack": stack, "truth": truth, "planes": dict(planes)})
        store.write(f"{state.prefix}/run.json", moved.model_dump_json(indent=1).encode())
    store.write(f"{state.prefix}/plan.json", plan.model_dump_json(indent=1).encode())
    return state


def _across(planes: Mapping[PlaneAxis, StackRef]) -> list[str]:
    return [f"{axis}={planes[axis].sha256}" for axis in sorted(planes)]


def _slug(name: str) -> str:
    stem = name.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "stack"


def stack_ref(path: Path) -> StackRef:
    """Return the reference of a file or folder on this machine, with the digest of its content.

    Raises BadInput where there is nothing to read.
    """
    path = path.expanduser()
    if not path.exists():
        raise BadInput(f"stack {str(path)!r}: no such file or folder. Check the path.")
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise BadInput(f"stack {str(path)!r}: the folder is empty, wanted slices (TIFF or PNG). Put them there first.")
    size = sum(file.stat().st_size for file in files)
    return StackRef(uri=path.resolve().as_uri(), name=path.name, sha256=_content(path, files), size_bytes=size)


def _content(path: Path, files: list[Path]) -> str:
    if files == [path]:
        return _file_digest(path)
    lines = [f"{file.relative_to(path).as_posix()} {_file_digest(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"stack {str(path)!r}: cannot be read ({error.strerror}). Check its permissions.") from error
