"""Run one stage of one run: the function that every runner calls.

The key of an artifact is a digest of everything that its content depends on. A stage whose key is committed is not
computed again.
"""

import hashlib
import json
import os
import platform
import resource
import socket
import sys
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from porelay_kit.bench import Bench, Control
from porelay_kit.plugins import bind, families_of, find, methods, stage_code, stage_function
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadMessage, SliceOver, Stopped
from porelay_schemas.manifest import Manifest, UsedMethod
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.plan import MethodCall
from porelay_schemas.route import FAMILIES
from porelay_schemas.volumes import ArtifactRef

NOT_CONTENT = {"run_id", "plan", "use"}
"""Fields of a request on which the result's content does not depend (`use` enters with its parameters filled in)."""

REMEMBERED = 1024
"""Calls of methods, as plans make them, whose parameters were filled in and need not be again."""

NOTED = ("numpy", "scipy", "scikit-image", "torch", "tensorstore", "numba", "opencv-python-headless", "porelay-schemas")


def step(request: AnyRequest, store: Store, settings: Settings, control: Control = Control()) -> AnyResult:  # noqa: B008
    """Return the result of a request, computed now or found committed.

    Raises UnknownMethod or BadInput before anything is computed where a method or parameter is wrong, and whatever
    the stage raises; what it keeps in its scratch folder has survived this machine when SliceOver or Stopped is raised.
    """
    use = used_methods(request)
    artifact = ArtifactRef(stage=request.stage, key=content_key(request, use))
    committed = manifest(store, artifact)
    if committed:
        return committed.result.model_copy(update={"run_id": request.run_id})
    return _compute(request, use, artifact, store, settings, control)


def _compute(
    request: AnyRequest,
    use: tuple[UsedMethod, ...],
    artifact: ArtifactRef,
    store: Store,
    settings: Settings,
    control: Control,
) -> AnyResult:
    workspace = store.begin(artifact.prefix)
    started = datetime.now(UTC)
    bench = Bench(artifact, store, workspace, settings, control)
    try:
        control.computing()
        result: AnyResult = stage_function(request.stage)(request, bench)
        result = result.model_copy(update={"seconds": bench.seconds})
        document = Manifest(
            stage=request.stage,
            key=artifact.key,
            request=request,
            result=result,
            use=use,
            started=started,
            seconds=bench.seconds,
            peak_memory_bytes=peak_memory_bytes(),
            host=_host(settings),
            versions=_versions(),
            files=bench.files(),
        )
        workspace.commit(document.model_dump_json(indent=1).encode())
    except (SliceOver, Stopped):
        workspace.abandon()
        bench.hand_over()
        raise
    except BaseException:
        workspace.abandon()
        raise
    if bench.has_scratch:
        store.drop_scratch(artifact.prefix)
    return result


def used_methods(request: AnyRequest) -> tuple[UsedMethod, ...]:
    """Return the methods of a request with all their parameters; raise UnknownMethod or BadInput."""
    families, path = families_of(request.stage), tuple(sys.path)
    return tuple(_used(families, call.model_dump_json(), path) for call in request.use)


@lru_cache(maxsize=REMEMBERED)
def _used(families: tuple[str, ...], call: str, path: tuple[str, ...]) -> UsedMethod:
    bound = bind(families, MethodCall.model_validate_json(call))
    code = find((bound.family,), bound.name).code
    params = bound.params.model_dump(mode="json")
    return UsedMethod(family=bound.family, method=bound.name, params=params, code=code)


def content_key(request: AnyRequest, use: tuple[UsedMethod, ...]) -> str:
    """Return the SHA-256 over inputs, stage, methods, parameters and code version."""
    content = request.model_dump(mode="json", exclude=NOT_CONTENT)
    if request.stage == "ingest":
        content |= {name: _dropped(content[name]) for name in ("stack", "truth")}
        content["planes"] = {axis: _dropped(plane) for axis, plane in content["planes"].items()}
    content["use"] = [method.model_dump(mode="json") for method in use]
    content["code"] = [stage_code(request.stage), *_unasked(request.stage)]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _dropped(stack: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what of a dropped stack is content: not where it lies."""
    return stack and {"sha256": stack["sha256"], "suffix": stack["name"].rpartition(".")[2]}


def _unasked(stage: str) -> list[str]:
    """Return the code of methods that a stage chooses by itself: readers, by the file."""
    families = [family for family, owner in FAMILIES.items() if owner == stage and family not in families_of(stage)]
    return sorted({method.code for family in families for method in methods(family).values()})


def manifest(store: Store, artifact: ArtifactRef) -> Manifest | None:
    """Return the manifest of an artifact, None where it is not committed; raise BadMessage where it is damaged."""
    key = f"{artifact.prefix}/manifest.json"
    try:
        data = store.read(key)
    except KeyError:
        return None
    try:
        return Manifest.model_validate_json(data)
    except ValueError as error:
        where = f"{key} in {store.url}"
        raise BadMessage(f"{where}: not a manifest of this version ({error}). Delete that folder.") from error


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process so far."""
    try:  # `ru_maxrss` would begin with the peak of the process that started this one
        status = os.pread(_status(os.getpid()), 8192, 0)
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(status.partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024


@cache
def _status(pid: int) -> int:
    """Return the open file that tells of this process: opening it takes ten times as long as reading it."""
    return os.open("/proc/self/status", os.O_RDONLY)


def _host(settings: Settings) -> dict[str, Any]:
    return {
        "name": socket.gethostname(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "workers": settings.workers,
        "max_memory_bytes": settings.max_memory_bytes,
    }


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in NOTED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
