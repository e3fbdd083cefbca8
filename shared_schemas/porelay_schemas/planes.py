"""Separate images across each axis: the stack lies across z, planes lie across y and x.

A plane is a file of its own, one image or a stack of them, cut perpendicular to its axis. It stays in its own frame on
its way: its volume's first axis is the one it lies across, its rows and columns are `ROWS_COLUMNS`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, TypeVar

from porelay_schemas.base import VoxelUm
from porelay_schemas.errors import BadInput, within
from porelay_schemas.plan import Plan

PlaneAxis = Literal["y", "x"]
PLANE_AXES: tuple[PlaneAxis, ...] = ("y", "x")
ROWS_COLUMNS: dict[PlaneAxis, tuple[str, str]] = {"y": ("z", "x"), "x": ("z", "y")}

TRAINER = "slicegan-trainer"
GIVE = "Give --plane y=FILE and --plane x=FILE, or neither."

A = TypeVar("A")
B = TypeVar("B")


def parse(words: Iterable[str]) -> dict[PlaneAxis, str]:
    """Read `y=FILE` and `x=FILE`; raise BadInput for anything else, and for an axis that is there twice."""
    found: dict[PlaneAxis, str] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if name == "z":
            raise BadInput(f"--plane {word!r}: the images across z are STACK itself. {GIVE}")
        axis = next((axis for axis in PLANE_AXES if axis == name), None)
        if axis is None or not equals or not file:
            raise BadInput(f"--plane {word!r}: wanted an axis and a file, y=FILE or x=FILE. {GIVE}")
        if axis in found:
            raise BadInput(
                f"--plane {word!r}: axis {axis} has {found[axis]!r} already, wanted one file an axis. "
                "Put several images of one axis into one stack, or leave one of them out."
            )
        found[axis] = file
    return {axis: found[axis] for axis in PLANE_AXES if axis in found}


def check(plan: Plan, axes: Collection[PlaneAxis]) -> None:
    """Raise BadInput where there are planes that the plan cannot learn from, or only one of the two."""
    if not axes:
        return
    missing = [axis for axis in PLANE_AXES if axis not in axes]
    if missing:
        raise BadInput(f"--plane: there are images across {', '.join(axes)} but none across {missing[0]}. {GIVE}")
    if TRAINER not in plan.stages:
        raise BadInput(
            f"--plane: images across y and x are for training a generator, and plan {plan.name!r} has no stage "
            f"{TRAINER!r}. Leave --plane out, or use a plan that trains, such as 'electrode'."
        )
    for call in plan.stages[TRAINER].use:
        check_mode(call.params.get("mode"))


def check_mode(mode: object) -> None:
    """Raise BadInput unless training is anisotropic: only that keeps the images of the axes apart."""
    if mode != "anisotropic":
        raise BadInput(
            f"--plane: images across y and x are given, but {TRAINER}.mode is {mode!r}, wanted 'anisotropic', "
            f"which has a critic for each axis. Add --set {TRAINER}.mode=anisotropic, or leave --plane out."
        )


def own_edges(voxel_um: VoxelUm, axis: PlaneAxis) -> VoxelUm:
    """Return the edges along (z, y, x) in the order of a plane's own frame: (across it, rows, columns)."""
    z, y, x = voxel_um
    return (y, z, x) if axis == "y" else (x, z, y)


def words(axis: PlaneAxis) -> str:
    """Say which plane, and how its image lies."""
    rows, columns = ROWS_COLUMNS[axis]
    return f"plane {axis} (slices across {axis}, rows along {rows}, columns along {columns})"


def each(planes: Mapping[PlaneAxis, A], work: Callable[[PlaneAxis, A], B]) -> dict[PlaneAxis, B]:
    """Do the same for every plane; a permanent error then begins with the plane that it is about."""
    done = {}
    for axis, plane in planes.items():
        with within(words(axis)):
            done[axis] = work(axis, plane)
    return done
