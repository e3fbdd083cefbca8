"""What was measured: numbers and curves with their units and definitions, and `descriptors.json` and `curves.json`.

Phases go by their names in the plan. An interface names two phases, a triple line three, the whole volume none.
An axis of None means that the value belongs to no direction, or to all of them.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from porelay_schemas.base import Closed
from porelay_schemas.plan import Phase, PhaseName
from porelay_schemas.volumes import VolumeRef

AxisName = Literal["z", "y", "x"]
AXES: tuple[AxisName, AxisName, AxisName] = ("z", "y", "x")
Key = tuple[str, tuple[str, ...], AxisName | None]
"""Name, phases and axis: what the same number of another volume shares."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Definition(Closed):
    """What exactly a number means: an id that changes when the meaning does, and one line."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+\.v[0-9]+$")]
    text: str


class Descriptor(Closed):
    """A measured number. `value` is None where there is none, and `note` says why."""

    name: str
    phases: tuple[PhaseName, ...] = ()
    axis: AxisName | None = None
    value: Finite | None
    unit: str = Field(description="'1', or a power of 'um' as in '1/um^2'")
    definition: Definition
    connectivity: Literal[6, 26] | None = Field(default=None, description="neighbours that count as connected")
    boundary: str = Field(default="", description="what is assumed at the borders of the volume")
    percolates: bool | None = Field(default=None, description="whether the phase joins the two faces across the axis")
    numerical_error: Finite | None = Field(default=None, ge=0, description="of an iterative solution, in `unit`")
    mean: Literal["arithmetic", "harmonic"] = Field(
        default="arithmetic", description="how samples average: a tortuosity as its inverse, the conductivity"
    )
    note: str = ""

    @property
    def key(self) -> Key:
        """What the same number of another volume shares."""
        return self.name, self.phases, self.axis


class Curve(Closed):
    """A measured curve.

    `function`: y at x. `distribution`: samples that take the exact values x with the weights y, which sum to 1.
    """

    name: str
    kind: Literal["function", "distribution"] = "function"
    phases: tuple[PhaseName, ...] = ()
    axis: AxisName | None = None
    x: tuple[Finite, ...]
    y: tuple[Finite, ...]
    x_unit: str
    y_unit: str = "1"
    definition: Definition
    boundary: str = ""
    note: str = ""

    @property
    def key(self) -> Key:
        """What the same curve of another volume shares."""
        return self.name, self.phases, self.axis

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"{self.name}: {len(self.x)} values of x and {len(self.y)} of y")
        return self


class Measured(Closed):
    """All numbers of one volume."""

    volume: VolumeRef
    descriptors: tuple[Descriptor, ...]

    def find(self, name: str, phases: tuple[str, ...] = (), axis: AxisName | None = None) -> Descriptor | None:
        """Return one number, None where it was not measured."""
        return next((found for found in self.descriptors if found.key == (name, phases, axis)), None)


class Difference(Closed):
    """A number of the real volume against those of the generated ones: `absolute` is generated minus real."""

    name: str
    phases: tuple[PhaseName, ...]
    axis: AxisName | None
    unit: str
    real: Finite | None
    generated: Finite | None = Field(description="mean over the generated volumes")
    spread: Finite | None = Field(description="sample standard deviation over them, None for fewer than two")
    samples: int = Field(ge=0, description="generated volumes that have a value")
    absolute: Finite | None
    relative: Finite | None = Field(description="absolute / |real|")
    note: str = ""


class Distance(Closed):
    """How far the curves of the generated volumes lie from the real one's, one value a volume."""

    name: str
    curve: str
    phases: tuple[PhaseName, ...]
    axis: AxisName | None
    unit: str
    values: tuple[Finite | None, ...]
    mean: Finite | None
    definition: Definition


class Comparison(Closed):
    """Real against generated. `notes` say how far these numbers can be trusted."""

    differences: tuple[Difference, ...]
    distances: tuple[Distance, ...]
    notes: tuple[str, ...] = ()


class Descriptors(Closed):
    """The document `descriptors.json`."""

    schema_version: Literal[1] = 1
    phases: tuple[Phase, ...]
    real: Measured | None = None
    generated: tuple[Measured, ...] = ()
    comparison: Comparison | None = None
    skipped: tuple[str, ...] = Field(default=(), description="what was not measured, and why")


class Curves(Closed):
    """The document `curves.json`, in the order of `descriptors.json`."""

    schema_version: Literal[1] = 1
    real: tuple[Curve, ...] = ()
    generated: tuple[tuple[Curve, ...], ...] = ()
