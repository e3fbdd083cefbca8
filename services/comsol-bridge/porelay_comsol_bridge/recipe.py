"""A COMSOL model as a list of calls, from which the Java and the Python script are both written.

A call reads as it does in COMSOL's own Java: `MODEL.component("comp1").mesh().create("mesh1", "geom1")` is a value
that remembers its chain; a recipe is a list of such values. Nothing here runs, and no text of a user gets into a
script but as a quoted value.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Union

from porelay_schemas.errors import BadInput

IDENTIFIER = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,63}$")


@dataclass(frozen=True)
class Imported:
    """The tag that a selection of the mesh file has got in COMSOL, found by its label when the script runs."""

    label: str


@dataclass(frozen=True)
class Beside:
    """The path of a file that lies beside the script."""

    name: str


Value = Union[str, bool, int, float, Imported, Beside, tuple["Value", ...]]  # noqa: UP007
Link = tuple[str, tuple[Value, ...]]


@dataclass(frozen=True)
class Call:
    """One statement: a chain of method calls on the model."""

    chain: tuple[Link, ...] = ()

    def __getattr__(self, name: str) -> Callable[..., "Call"]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: Call((*self.chain, (name, args)))

    def values(self) -> Iterator[Value]:
        """Return all arguments, those inside arrays too."""
        for _, args in self.chain:
            yield from _flat(args)


def _flat(values: Iterable[Value]) -> Iterator[Value]:
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


MODEL = Call()
"""The model itself; calls start here."""


@dataclass(frozen=True)
class MeshCheck:
    """Tetrahedra and volume that a domain selection must have after the import."""

    label: str
    tetrahedra: int
    volume_um3: float


Step = Call | MeshCheck


@dataclass(frozen=True)
class Part:
    """Steps under a heading; `solves` marks those that are left out when the model is only built."""

    title: str
    steps: tuple[Step, ...]
    solves: bool = False


@dataclass(frozen=True)
class Parameter:
    """A COMSOL parameter: an expression with its unit, what it is, and where its value is from."""

    name: str
    expression: str
    about: str
    source: str

    def __post_init__(self) -> None:
        if not IDENTIFIER.match(self.name):
            raise BadInput(f"COMSOL parameter {self.name!r}: wanted letters, digits and _, a letter first. Rename it.")


@dataclass(frozen=True)
class VoxelField:
    """A property on the voxel grid: one value a phase, in the order of the plan."""

    name: str
    unit: str
    by_phase: tuple[float, ...]
    about: str

    @property
    def file(self) -> str:
        """Its file in the package."""
        return f"field_{self.name}.txt"


@dataclass(frozen=True)
class Outcome:
    """A file that the solved model writes beside the script."""

    file: str
    about: str


@dataclass(frozen=True)
class Recipe:
    """All that a physics says about its model."""

    parts: tuple[Part, ...]
    parameters: tuple[Parameter, ...]
    fields: tuple[VoxelField, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    products: tuple[str, ...] = ("COMSOL Multiphysics",)
    notes: tuple[str, ...] = field(default=())

    def calls(self) -> Iterator[Call]:
        """Return the calls in order, checks left out."""
        for part in self.parts:
            yield from (step for step in part.steps if isinstance(step, Call))

    def mentioned(self, kind: type[Any]) -> set[Any]:
        """Return all `Imported` or `Beside` values."""
        return {value for call in self.calls() for value in call.values() if isinstance(value, kind)}


def number(value: float, unit: str = "") -> str:
    """Return a COMSOL expression of a number, exact, with its unit: `0.95[S/m]`."""
    return f"{float(value)!r}[{unit}]" if unit else repr(float(value))


def isotropic(expression: str) -> tuple[str, ...]:
    """Return the nine entries of a tensor with the same value along x, y and z."""
    return tuple(expression if row == column else "0" for row in range(3) for column in range(3))
