"""What a run is, in the store: `runs/<run_id>/` holds the run, its plan, requests, results and failures.

A note lies in `waiting/` instead while a stage that has failed for now is going to be tried again.
"""

import hashlib
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from pydantic import TypeAdapter

from porelay_kit.runner.plans import read_plan
from porelay_kit.store.base import Store, untold
from porelay_schemas import planes as separate
from porelay_schemas.errors import BadInput, Permanent, nearest, waits
from porelay_schemas.manifest import Failure, Run
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import Plan
from porelay_schemas.planes import PlaneAxis
from porelay_schemas.relay import in_order
from porelay_schemas.route import STAGES
from porelay_schemas.volumes import StackRef

RESULT: TypeAdapter[AnyResult] = TypeAdapter(AnyResult)
REQUEST: TypeAdapter[AnyRequest] = TypeAdapter(AnyRequest)
MARKERS = ("_complete.json", ".done")
"""Objects of a folder of slices that say that it is complete."""


@dataclass(frozen=True)
class Notes:
    """Names of the stages of a run that are done, have failed, or wait to be tried again; from one look."""

    done: frozenset[str]
    failed: frozenset[str]
    waiting: frozenset[str]
    cancelled: bool

    def ended(self, plan: Plan) -> bool:
        """Return whether every stage is done, has failed, or is out of reach since one before it failed."""
        lost: set[str] = set()
        for stage in in_order(list(plan.stages)):
            if stage not in self.done and (stage in self.failed or lost.intersection(plan.feeders(stage))):
                lost.add(stage)
        return self.done | lost >= set(plan.stages)


def notes_in(names: set[str]) -> Notes:
    """Return what the names of the objects of a run tell."""
    done, failed, waiting = (
        frozenset(stage for stage in STAGES if f"{folder}/{stage}.json" in names)
        for folder in ("results", "failures", "waiting")
    )
    return Notes(done, failed - done, waiting - done, "cancel" in names)


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
        return self.plan_of(self.run())

    def plan_of(self, run: Run) -> Plan:
        """Return the plan, where the run has been read already."""
        return read_plan(self.store, run.plan)

    def results(self) -> dict[str, AnyResult]:
        """Return the results so far, by stage."""
        return {stage: self.result(stage) for stage in in_order(list(self.notes().done))}

    def result(self, stage: str) -> AnyResult:
        """Return the result of a stage that is done; raise KeyError where it is not."""
        return RESULT.validate_json(self.store.read(f"{self.prefix}/results/{stage}.json"))

    def failures(self) -> dict[str, Failure]:
        """Return why stages stopped, by stage."""
        return {stage: self._noted("failures", stage) for stage in in_order(list(self.notes().failed))}

    def waiting(self) -> dict[str, Failure]:
        """Return the stages that have failed for now and will be tried again, and why."""
        return {stage: self._noted("waiting", stage) for stage in in_order(list(self.notes().waiting))}

    def notes(self) -> Notes:
        """Return what is noted now, by one listing."""
        return notes_in(self._names())

    def _names(self) -> set[str]:
        return {key.removeprefix(f"{self.prefix}/") for key in self.store.list(self.prefix)}

    def ended(self) -> bool:
        """Return whether nothing of the run is left to do: see `Notes.ended`."""
        return self.notes().ended(self.plan())

    def asked(self, request: AnyRequest) -> None:
        """Note that a stage was asked for."""
        self._write(f"requests/{request.stage}.json", request.model_dump_json(indent=1))

    def done(self, result: AnyResult) -> Notes:
        """Note a result; an earlier failure of that stage is past. Return what is noted after that."""
        self._write(f"results/{result.stage}.json", result.model_dump_json(indent=1))
        names = self._names()
        for past in names & {f"failures/{result.stage}.json", f"waiting/{result.stage}.json"}:
            self.store.delete(f"{self.prefix}/{past}")
        return notes_in(names)

    def failed(self, stage: str, error: BaseException) -> Failure:
        """Note why a stage stopped for good."""
        failure = self._failure(stage, error)
        self._write(f"failures/{stage}.json", failure.model_dump_json(indent=1))
        self.store.delete(f"{self.prefix}/waiting/{stage}.json")
        return failure

    def put_off(
        self, stage: str, error: BaseException, *, attempt: int | None = None, within_s: float | None = None
    ) -> Failure:
        """Note why a stage has stopped for now: it will be tried again, `within_s` from now if that is known."""
        failure = self._failure(stage, error)
        again = None if within_s is None else failure.at + timedelta(seconds=within_s)
        failure = failure.model_copy(update={"attempt": attempt, "next_try": again})
        self._write(f"waiting/{stage}.json", failure.model_dump_json(indent=1))
        self.forget_failure(stage)
        return failure

    def _noted(self, folder: str, stage: str) -> Failure:
        return Failure.model_validate_json(self.store.read(f"{self.prefix}/{folder}/{stage}.json"))

    def _failure(self, stage: str, error: BaseException) -> Failure:
        return Failure(
            run_id=self.run_id,
            stage=stage,
            error=type(error).__name__,
            permanent=isinstance(error, Permanent) and not waits(error),
            text=str(error) or type(error).__name__,
            traceback="".join(traceback.format_exception(error)),
            at=datetime.now(UTC),
        )

    def forget_failure(self, stage: str) -> None:
        """Forget why a stage stopped: it is asked for again."""
        self.store.delete(f"{self.prefix}/failures/{stage}.json")

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
    run_id = run_id_for(plan, stack, truth, planes)
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


def run_id_for(
    plan: Plan,
    stack: StackRef,
    truth: StackRef | None = None,
    planes: Mapping[PlaneAxis, StackRef] = MappingProxyType({}),
) -> str:
    """Return the id of the run of a stack under a plan, whether it is there or not."""
    return f"{_slug(stack.name)}-{plan.name}-{identity(plan, stack, truth, planes)}"


def identity(
    plan: Plan,
    stack: StackRef,
    truth: StackRef | None = None,
    planes: Mapping[PlaneAxis, StackRef] = MappingProxyType({}),
) -> str:
    """Return eight digits of a digest over all that makes a run what it is: stack, truth, planes and plan."""
    across = [f"{axis}={planes[axis].sha256}" for axis in sorted(planes)]
    whole = "|".join([stack.sha256, truth.sha256 if truth else "", plan.digest(), *across])
    return hashlib.sha256(whole.encode()).hexdigest()[:8]


def _slug(name: str) -> str:
    stem = name.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "stack"


def stack_ref(path: Path) -> StackRef:
    """Return the reference of a file or folder on this machine, with the digest of its content.

    Raises BadInput where there is nothing to read.
    """
    path = path.expanduser()
    files = content_files(path)
    size = sum(file.stat().st_size for file in files)
    return StackRef(uri=path.resolve().as_uri(), name=path.name, sha256=_content(path, files), size_bytes=size)


def content_files(path: Path) -> list[Path]:
    """Return the files that make a stack: the file, or those of a folder that count; raise BadInput where none do."""
    if not path.exists():
        raise BadInput(f"stack {str(path)!r}: no such file or folder. Check the path.")
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if file.is_file() and counts(file.relative_to(path).as_posix())]
    if not found:
        raise BadInput(f"stack {str(path)!r}: the folder is empty, wanted slices (TIFF or PNG). Put them there first.")
    return sorted(found)


def counts(name: str) -> bool:
    """Return whether a file of a folder of slices belongs to the stack: hidden files and markers do not."""
    return name not in MARKERS and not any(part.startswith(".") for part in name.split("/"))


def folder_digest(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of a folder of slices from those of its files, by their names relative to it."""
    names = sorted(digests, key=PurePosixPath)
    return hashlib.sha256("\n".join(f"{name} {digests[name]}" for name in names).encode()).hexdigest()


def _content(path: Path, files: list[Path]) -> str:
    if files == [path]:
        return file_digest(path)
    return folder_digest({file.relative_to(path).as_posix(): file_digest(file) for file in files})


def file_digest(path: Path, read: Callable[[int], None] = untold) -> str:
    """Return the SHA-256 of a file, `read` being told of bytes as they are; raise BadInput where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
                read(len(part))
            return digest.hexdigest()
    except OSError as error:
        raise BadInput(f"stack {str(path)!r}: cannot be read ({error.strerror}). Check its permissions.") from error
