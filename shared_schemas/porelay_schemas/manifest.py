"""The manifest is the commit: a result without one does not exist. It is written last and carries the provenance."""

from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from porelay_schemas.base import Closed
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.planes import PlaneAxis
from porelay_schemas.volumes import FileRef, Sha256, StackRef


class UsedMethod(Closed):
    """A method that ran, with all its parameters (defaults filled in) and the digest of its code."""

    family: str
    method: str
    params: dict[str, JsonValue]
    code: str = Field(description="distribution, version and digest of its sources")


class Manifest(Closed):
    """What an artifact is, where it came from, and which files belong to it."""

    schema_version: Literal[1] = 1
    stage: str
    key: Sha256
    request: AnyRequest
    result: AnyResult
    use: tuple[UsedMethod, ...]
    started: AwareDatetime
    seconds: float
    peak_memory_bytes: int = Field(description="of the whole process, up to the commit")
    host: dict[str, JsonValue]
    versions: dict[str, str]
    files: tuple[FileRef, ...]


class Run(Closed):
    """`run.json`: what was dropped and which plan it follows."""

    schema_version: Literal[1] = 1
    run_id: str
    stack: StackRef
    truth: StackRef | None = None
    planes: dict[PlaneAxis, StackRef] = {}
    plan: Sha256
    plan_name: str
    created: AwareDatetime


class Failure(Closed):
    """`failures/<stage>.json`: why a stage of a run stopped; `waiting/<stage>.json`: why it has stopped for now."""

    schema_version: Literal[1] = 1
    run_id: str
    stage: str
    error: str = Field(description="class name of the error")
    permanent: bool
    text: str
    traceback: str
    at: AwareDatetime
    attempt: int | None = Field(default=None, description="which attempt it was, from 1")
    next_try: AwareDatetime | None = Field(default=None, description="when it is tried again, at the earliest")
