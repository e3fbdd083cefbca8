"""A plan is the route filled in: which stages run, with which methods and parameters, on which phases."""

import hashlib
import re
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from porelay_schemas.base import Closed, Micrometres, VoxelUm
from porelay_schemas.errors import nearest
from porelay_schemas.route import STAGES

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
PhaseName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Phase(Closed):
    """A material of the electrode. Its index in the plan is its label in every label volume."""

    name: PhaseName
    colour: Colour
    conducts: Annotated[
        tuple[str, ...], Field(description="what moves in it: 'ions', 'electrons'; none for an insulator")
    ] = ()


class MethodCall(Closed):
    """A method by name, and its parameters (those left out take their defaults)."""

    method: str
    params: dict[str, JsonValue] = {}


class StagePlan(Closed):
    """What one stage does: an ordered list of method calls, and which stages feed it.

    In YAML either the list alone, or `{after: [...], use: [...]}`; a call is `name` or `name: {param: value}`.
    """

    use: tuple[MethodCall, ...] = ()
    after: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            value = {"use": value}
        if value is None:
            value = {}
        if isinstance(value, dict) and "use" in value:
            value = value | {"use": [_call(call) for call in value["use"]]}
        return value


def _call(call: Any) -> Any:
    if isinstance(call, str):
        return {"method": call}
    if isinstance(call, dict) and len(call) == 1 and "method" not in call:
        ((name, params),) = call.items()
        return {"method": name, "params": params or {}}
    return call


class Plan(Closed):
    """The user's recipe."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    about: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    voxel_um: VoxelUm | None = Field(default=None, description="of the stack (z, y, x); must agree with the file's own")
    phases: tuple[Phase, ...] = Field(min_length=1, max_length=16)
    stages: dict[str, StagePlan]

    @field_validator("voxel_um", mode="before")
    @classmethod
    def _cube(cls, value: Any) -> Any:
        return (value, value, value) if isinstance(value, (int, float)) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases: names must differ, got {names}")
        if "ingest" not in self.stages:
            raise ValueError("stages: a plan begins with 'ingest'. Add the line 'ingest: []'.")
        for name, stage in self.stages.items():
            self._check_stage(name, stage)
        return self

    def _check_stage(self, name: str, stage: StagePlan) -> None:
        if name not in STAGES:
            raise ValueError(f"stages: no stage is called {name!r}. {nearest(name, STAGES)}")
        for feeder in stage.after:
            if feeder not in STAGES[name].after:
                hint = nearest(feeder, STAGES[name].after)
                raise ValueError(f"stages.{name}.after: {feeder!r} cannot feed it. {hint}")
            if feeder not in self.stages:
                raise ValueError(f"stages.{name}.after: {feeder!r} is not in this plan. Add it, or take it out there.")
        if name != "ingest" and not self.feeders(name):
            wanted = ", ".join(STAGES[name].after)
            raise ValueError(f"stages.{name}: nothing feeds it. Add one of: {wanted}.")

    def feeders(self, stage: str) -> tuple[str, ...]:
        """Return the stages of this plan that feed `stage` and that it waits for."""
        asked = self.stages[stage].after or STAGES[stage].after
        found = tuple(name for name in asked if name in self.stages)
        return found if STAGES[stage].joins else found[:1]

    def digest(self) -> str:
        """Return the SHA-256 under which the plan is stored."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def voxel_um(text: str) -> tuple[Micrometres, Micrometres, Micrometres]:
    """Read `0.05` or `0.1,0.05,0.05` (z, y, x), in micrometres; raise ValueError otherwise."""
    parts = [float(part) for part in re.split(r"[,x ]+", text.strip())]
    if len(parts) == 1:
        parts *= 3
    if len(parts) != 3 or not all(0 < part < 1e6 for part in parts):
        raise ValueError(f"voxel size {text!r}: wanted one positive number or three (z,y,x), in micrometres")
    return parts[0], parts[1], parts[2]
